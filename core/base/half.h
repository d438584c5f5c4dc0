// f16, bf16 and E4M3 as bits, exact and independent of the CPU. Not for files built with target
// flags.
#pragma once

#include <bit>
#include <cstdint>

namespace pocketr1 {

inline float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  if (exponent == 0) {
    const float size = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -size : size;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

// To the nearest, ties to even; infinity from 65520 on; NaN stays NaN.
inline std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t size = bits & 0x7fffffffU;
  std::uint32_t half;
  if (size > 0x7f800000U) {
    half = 0x7e00U;
  } else if (size >= 0x477ff000U) {  // 65520
    half = 0x7c00U;
  } else if (size < 0x38800000U) {  // 2^-14: adding 0.5 rounds at 2^-24
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3f000000U;
  } else {
    half = (size - 0x38000000U + 0xfffU + ((size >> 13) & 1U)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

// E4M3 (arXiv:2209.05433): sign, 4 bits of exponent with bias 7, 3 of mantissa. 0x7F and 0xFF,
// which are NaN, come out as 480 and -480.
inline float e4m3_to_f32(std::uint8_t code) {
  // As an f16 it has the same fields, and a bias 8 larger.
  const std::uint32_t half = (code & 0x80U) << 8 | (code & 0x7fU) << 7;
  return f16_to_f32(static_cast<std::uint16_t>(half)) * 256.0F;
}

// To the nearest, ties to even; what lies beyond 448, the largest, becomes 448.
inline std::uint8_t f32_to_e4m3(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80U;
  const std::uint32_t size = bits & 0x7fffffffU;
  std::uint32_t code;
  if (size >= 0x43e00000U) {  // 448
    code = 0x7eU;
  } else if (size < 0x3c800000U) {  // 2^-6: adding 2^14 rounds at 2^-9
    code = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 16384.0F) - 0x46800000U;
  } else {
    code = (size - 0x3c000000U + 0x7ffffU + ((size >> 20) & 1U)) >> 20;
  }
  return static_cast<std::uint8_t>(sign | code);
}

}  // namespace pocketr1
