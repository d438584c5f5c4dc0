// Sixteen floats, as plain loops: the reference for every other F32x16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1::scalar {
namespace {

struct F32x16 {
  float lane[16];
};

template <typename Operation>
inline F32x16 each(Operation operation) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = operation(i);
  return out;
}

inline float bits_to_float(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline std::uint32_t float_to_bits(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // 2^112 moves the exponent from bias 15 to bias 127; subnormals come out exact.
  const float scaled = bits_to_float(magnitude << 13) * bits_to_float(0x77800000u);
  return bits_to_float(sign | float_to_bits(scaled));
}

// Nearest even; beyond the largest half: infinity.
inline std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = float_to_bits(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded.
    const std::uint32_t rounded = float_to_bits(bits_to_float(magnitude) + 0.5f) - 0x3f000000u;
    return static_cast<std::uint16_t>(sign | rounded);
  }
  const std::uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

inline F32x16 zero() {
  return each([](int) { return 0.0f; });
}
inline F32x16 broadcast(float x) {
  return each([=](int) { return x; });
}
inline F32x16 load(const float* p) {
  return each([=](int i) { return p[i]; });
}
// The first n floats, zero behind them; reads no further.
inline F32x16 load_first(const float* p, std::size_t n) {
  return each([=](int i) { return static_cast<std::size_t>(i) < n ? p[i] : 0.0f; });
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  return each([=](int i) { return bits_to_float(static_cast<std::uint32_t>(p[i]) << 16); });
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return each([=](int i) { return half_to_float(p[i]); });
}
inline F32x16 broadcast_f16(const std::uint16_t* p) { return broadcast(half_to_float(*p)); }
inline F32x16 load_i8(const std::int8_t* p) {
  return each([=](int i) { return static_cast<float>(p[i]); });
}
// E4M3 times 2^-8: an f16 has the same fields, and a bias 8 larger.
inline F32x16 load_e4m3(const std::uint8_t* p) {
  return each([=](int i) {
    return half_to_float(static_cast<std::uint16_t>((p[i] & 0x80u) << 8 | (p[i] & 0x7fu) << 7));
  });
}
inline void store(float* p, F32x16 x) {
  for (int i = 0; i < 16; ++i) p[i] = x.lane[i];
}
inline void store_first(float* p, F32x16 x, std::size_t n) {
  for (std::size_t i = 0; i < n && i < 16; ++i) p[i] = x.lane[i];
}
inline void store_f16(std::uint16_t* p, F32x16 x) {
  for (int i = 0; i < 16; ++i) p[i] = float_to_half(x.lane[i]);
}
// Integral values within -128..127.
inline void store_i8(std::int8_t* p, F32x16 x) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(static_cast<int>(x.lane[i]));
}
inline F32x16 add(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F32x16 sub(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F32x16 mul(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F32x16 div(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
// a * b + c, rounded once.
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
// As the SSE instructions: b where the comparison is false.
inline F32x16 max(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32x16 min(F32x16 a, F32x16 b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32x16 abs(F32x16 a) {
  return each([&](int i) { return bits_to_float(float_to_bits(a.lane[i]) & 0x7fffffffu); });
}
// To the nearest integer, ties to even; |x| < 2^22.
inline F32x16 round(F32x16 x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23
  return each([&](int i) { return (x.lane[i] + magic) - magic; });
}
// 2^n for integral n in -126..127.
inline F32x16 pow2(F32x16 n) {
  return each([&](int i) {
    return bits_to_float(static_cast<std::uint32_t>(static_cast<int>(n.lane[i]) + 127) << 23);
  });
}
inline float reduce_add(F32x16 x) {
  for (int step = 8; step != 0; step /= 2) {
    for (int i = 0; i < step; ++i) x.lane[i] = x.lane[i] + x.lane[i + step];
  }
  return x.lane[0];
}
// Four of them.
inline void reduce_add4(F32x16 a, F32x16 b, F32x16 c, F32x16 d, float* out) {
  out[0] = reduce_add(a);
  out[1] = reduce_add(b);
  out[2] = reduce_add(c);
  out[3] = reduce_add(d);
}
inline float reduce_max(F32x16 x) {
  for (int step = 8; step != 0; step /= 2) {
    for (int i = 0; i < step; ++i)
      x.lane[i] = x.lane[i] > x.lane[i + step] ? x.lane[i] : x.lane[i + step];
  }
  return x.lane[0];
}

}  // namespace
}  // namespace pocketr1::scalar
