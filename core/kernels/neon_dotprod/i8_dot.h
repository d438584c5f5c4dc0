// Dot products of four bytes by sdot; meanings as in kernels/scalar/i8_dot.h.
#pragma once

#include "kernels/neon_dotprod/f32x16.h"

namespace pocketr1::neon_dotprod {
namespace {

constexpr std::int32_t kKeyOffset = 0;

struct I32x16 {
  int32x4_t part[4];  // lanes 4 * i .. 4 * i + 3
};
struct Bytes64 {
  int8x16_t part[4];
};
struct Bytes4 {
  int8x16_t value;  // the four, four times
};

inline I32x16 whole(std::int32_t x) {
  const int32x4_t all = vdupq_n_s32(x);
  return {{all, all, all, all}};
}
inline I32x16 next_digit(I32x16 x, std::int32_t start) {
  const int32x4_t more = vdupq_n_s32(start);
  for (int i = 0; i < 4; ++i) x.part[i] = vaddq_s32(vshlq_n_s32(x.part[i], 7), more);
  return x;
}
inline F32x16 to_float(I32x16 x) {
  return each([&](int i) { return vcvtq_f32_s32(x.part[i]); });
}
inline Bytes64 load_values(const std::int8_t* p) {
  return {{vld1q_s8(p), vld1q_s8(p + 16), vld1q_s8(p + 32), vld1q_s8(p + 48)}};
}
inline Bytes64 load_keys(const std::int8_t* p) { return load_values(p); }
inline Bytes4 broadcast4(const void* digits) {
  std::int32_t four;
  __builtin_memcpy(&four, digits, 4);
  return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
}
// The digits of weights fit in signed bytes as well.
inline void add_value_products(I32x16& sum, Bytes64 values, Bytes4 digits) {
  for (int i = 0; i < 4; ++i) {
    sum.part[i] = vdotq_s32(sum.part[i], values.part[i], digits.value);
  }
}
inline void add_key_products(I32x16& sum, Bytes64 keys, Bytes4 digits) {
  add_value_products(sum, keys, digits);
}
inline void store_digits(F32x16 x, std::uint8_t* high, std::uint8_t* low) {
  uint32x4_t rounded[4];
  for (int i = 0; i < 4; ++i) rounded[i] = vcvtnq_u32_f32(x.part[i]);
  const uint16x8_t words[2] = {vmovn_high_u32(vmovn_u32(rounded[0]), rounded[1]),
                               vmovn_high_u32(vmovn_u32(rounded[2]), rounded[3])};
  const uint16x8_t mask = vdupq_n_u16(127);
  vst1q_u8(high, vmovn_high_u16(vmovn_u16(vshrq_n_u16(words[0], 7)), vshrq_n_u16(words[1], 7)));
  vst1q_u8(low, vmovn_high_u16(vmovn_u16(vandq_u16(words[0], mask)), vandq_u16(words[1], mask)));
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
