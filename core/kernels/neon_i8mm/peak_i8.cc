// smmla: 32 products in one instruction.
#include "kernels/peak_i8.h"

#include <arm_neon.h>

namespace pocketr1::neon_i8mm {

std::uint64_t peak_i8(std::size_t rounds) {
  // Three or four cycles of latency, at most four a cycle: here are sixteen chains.
  int32x4_t s0 = vdupq_n_s32(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  int32x4_t t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0, t6 = s0, t7 = s0;
  const int8x16_t ones = vdupq_n_s8(1);
  for (std::size_t round = 0; round < rounds; ++round) {
    // Not the intrinsic: of chains that are all equal a compiler may keep one.
    __asm__ volatile(
        "smmla %0.4s, %8.16b, %8.16b\n\tsmmla %1.4s, %8.16b, %8.16b\n\t"
        "smmla %2.4s, %8.16b, %8.16b\n\tsmmla %3.4s, %8.16b, %8.16b\n\t"
        "smmla %4.4s, %8.16b, %8.16b\n\tsmmla %5.4s, %8.16b, %8.16b\n\t"
        "smmla %6.4s, %8.16b, %8.16b\n\tsmmla %7.4s, %8.16b, %8.16b"
        : "+w"(s0), "+w"(s1), "+w"(s2), "+w"(s3), "+w"(s4), "+w"(s5), "+w"(s6), "+w"(s7)
        : "w"(ones));
    __asm__ volatile(
        "smmla %0.4s, %8.16b, %8.16b\n\tsmmla %1.4s, %8.16b, %8.16b\n\t"
        "smmla %2.4s, %8.16b, %8.16b\n\tsmmla %3.4s, %8.16b, %8.16b\n\t"
        "smmla %4.4s, %8.16b, %8.16b\n\tsmmla %5.4s, %8.16b, %8.16b\n\t"
        "smmla %6.4s, %8.16b, %8.16b\n\tsmmla %7.4s, %8.16b, %8.16b"
        : "+w"(t0), "+w"(t1), "+w"(t2), "+w"(t3), "+w"(t4), "+w"(t5), "+w"(t6), "+w"(t7)
        : "w"(ones));
  }
  const int32x4_t sums[] = {s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3, t4, t5, t6, t7};
  std::uint64_t total = 0;
  for (const int32x4_t& chain : sums) {
    std::int32_t lanes[4];
    vst1q_s32(lanes, chain);
    for (const std::int32_t lane : lanes) total += static_cast<std::uint64_t>(lane);
  }
  return total;
}

}  // namespace pocketr1::neon_i8mm
