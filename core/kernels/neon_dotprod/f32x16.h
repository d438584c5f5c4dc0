// Sixteen floats in four NEON registers; meanings as in kernels/scalar/f32x16.h.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace pocketr1::neon_dotprod {
namespace {

struct F32x16 {
  float32x4_t part[4];  // lanes 4 * i .. 4 * i + 3
};

template <typename Operation>
inline F32x16 each(Operation operation) {
  return {{operation(0), operation(1), operation(2), operation(3)}};
}

inline float half_to_float(std::uint16_t half) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half))), 0);
}
inline F32x16 broadcast(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {{all, all, all, all}};
}
inline F32x16 zero() { return broadcast(0.0f); }
inline F32x16 load(const float* p) {
  return each([=](int i) { return vld1q_f32(p + 4 * i); });
}
inline F32x16 load_first(const float* p, std::size_t n) {
  if (n >= 16) return load(p);
  float lanes[16] = {};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  return each([=](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return each([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
inline F32x16 broadcast_f16(const std::uint16_t* p) {
  const float32x4_t wide = vcvt_f32_f16(vreinterpret_f16_u16(vld1_dup_u16(p)));
  return {{wide, wide, wide, wide}};
}
inline F32x16 load_i8(const std::int8_t* p) {
  const int8x16_t codes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(codes));
  const int16x8_t high = vmovl_high_s8(codes);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}
inline F32x16 load_e4m3(const std::uint8_t* p) {
  // Sign extension puts the sign where a shift brings it to the top; the copy below it goes.
  const int8x16_t codes = vreinterpretq_s8_u8(vld1q_u8(p));
  const uint16x8_t fields = vdupq_n_u16(0xbf80);
  const uint16x8_t wide[2] = {
      vandq_u16(vreinterpretq_u16_s16(vshll_n_s8(vget_low_s8(codes), 7)), fields),
      vandq_u16(vreinterpretq_u16_s16(vshll_n_s8(vget_high_s8(codes), 7)), fields)};
  return each([&](int i) {
    const uint16x4_t four = i % 2 == 0 ? vget_low_u16(wide[i / 2]) : vget_high_u16(wide[i / 2]);
    return vcvt_f32_f16(vreinterpret_f16_u16(four));
  });
}
inline void store(float* p, F32x16 x) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, x.part[i]);
}
inline void store_first(float* p, F32x16 x, std::size_t n) {
  if (n >= 16) {
    store(p, x);
    return;
  }
  float lanes[16];
  store(lanes, x);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
}
inline void store_f16(std::uint16_t* p, F32x16 x) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.part[i])));
}
inline void store_i8(std::int8_t* p, F32x16 x) {
  int32x4_t whole[4];
  for (int i = 0; i < 4; ++i) whole[i] = vcvtq_s32_f32(x.part[i]);
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(whole[0]), whole[1]);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(whole[2]), whole[3]);
  vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(low), high));
}
inline F32x16 add(F32x16 a, F32x16 b) {
  return each([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
}
inline F32x16 sub(F32x16 a, F32x16 b) {
  return each([&](int i) { return vsubq_f32(a.part[i], b.part[i]); });
}
inline F32x16 mul(F32x16 a, F32x16 b) {
  return each([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
}
inline F32x16 div(F32x16 a, F32x16 b) {
  return each([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return each([&](int i) { return vfmaq_f32(c.part[i], a.part[i], b.part[i]); });
}
// By comparison, since fmax and fmin treat zeros and NaN otherwise than the other sets do.
inline float32x4_t max4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline float32x4_t min4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline F32x16 max(F32x16 a, F32x16 b) {
  return each([&](int i) { return max4(a.part[i], b.part[i]); });
}
inline F32x16 min(F32x16 a, F32x16 b) {
  return each([&](int i) { return min4(a.part[i], b.part[i]); });
}
inline F32x16 abs(F32x16 a) {
  return each([&](int i) { return vabsq_f32(a.part[i]); });
}
inline F32x16 round(F32x16 x) {
  const F32x16 magic = broadcast(12582912.0f);
  return sub(add(x, magic), magic);
}
inline F32x16 pow2(F32x16 n) {
  return each([&](int i) {
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.part[i]), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
  });
}
inline float32x4_t reduce_to4(F32x16 x) {
  return vaddq_f32(vaddq_f32(x.part[0], x.part[2]), vaddq_f32(x.part[1], x.part[3]));
}
inline float reduce_add(F32x16 x) {
  const float32x4_t four = reduce_to4(x);
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline void reduce_add4(F32x16 a, F32x16 b, F32x16 c, F32x16 d, float* out) {
  const auto two = [](float32x4_t x, float32x4_t y) {
    return vaddq_f32(vcombine_f32(vget_low_f32(x), vget_low_f32(y)),
                     vcombine_f32(vget_high_f32(x), vget_high_f32(y)));
  };
  const float32x4_t ab = two(reduce_to4(a), reduce_to4(b));
  const float32x4_t cd = two(reduce_to4(c), reduce_to4(d));
  vst1q_f32(out, vpaddq_f32(ab, cd));
}
inline float reduce_max(F32x16 x) {
  const float32x4_t four = max4(max4(x.part[0], x.part[2]), max4(x.part[1], x.part[3]));
  const float32x4_t two = max4(four, vextq_f32(four, four, 2));
  return vgetq_lane_f32(max4(two, vextq_f32(two, two, 1)), 0);
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
