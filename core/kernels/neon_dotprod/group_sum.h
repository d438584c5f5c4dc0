// The sum of a group's products and what becomes of it, for four outputs.
//
// Arrays of sums are indexed by unrolled loops alone (Clang takes GCC's pragma), or they would lie
// in memory.
//
// A sum begins at the bits of 1.5 * 2^23, so that it can be read as the float 1.5 * 2^23 + sum:
// exact below 2^22, and no group exceeds 128 * 128 * 127 < 2^21. Subtracting the constant then
// gives float(sum) at two a cycle, where scvtf takes two cycles of the one pipe that has it.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace pocketr1::neon_dotprod {
namespace {

constexpr float kSumOrigin = 12582912.0f;
constexpr std::int32_t kSumOriginBits = 0x4b400000;

// Where a sum that needs no correction begins. Loaded for each, since loads have pipes of their own
// and copies take those that multiply; the compiler is not to know that all are equal.
alignas(64) constexpr std::int32_t kSumOrigins[8][4] = {
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits},
    {kSumOriginBits, kSumOriginBits, kSumOriginBits, kSumOriginBits}};

inline const std::int32_t (*sum_origins())[4] {
  const std::int32_t (*origins)[4] = kSumOrigins;
  __asm__("" : "+r"(origins));
  return origins;
}

// Zero, loaded for the same reason.
alignas(64) constexpr std::int32_t kZeroSums[12][4] = {};

inline int32x4_t zero_sum(std::size_t which) {
  const std::int32_t (*zeros)[4] = kZeroSums;
  __asm__("" : "+r"(zeros));
  return vld1q_s32(zeros[which]);
}

// What is behind begins after these sums: compilers would unpack ahead more than the registers
// hold.
template <std::size_t n, std::size_t m>
inline void keep_order(int32x4_t (&sum)[n][m]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < m; ++j) __asm__ volatile("" : "+w"(sum[i][j]) : : "memory");
  }
}

// total + sum * (scale * a_scale), rounded as in the scalar kernels.
inline float32x4_t add_group(float32x4_t total, int32x4_t sum, float32x4_t both_scales) {
  const float32x4_t exact = vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(kSumOrigin));
  return vfmaq_f32(total, exact, both_scales);
}

inline float32x4_t widen_f16(const std::uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

// The first n of four outputs.
inline void store_outputs(float* y, float32x4_t outputs, std::size_t n) {
  if (n >= 4) {
    vst1q_f32(y, outputs);
    return;
  }
  float lanes[4];
  vst1q_f32(lanes, outputs);
  for (std::size_t i = 0; i < n; ++i) y[i] = lanes[i];
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
