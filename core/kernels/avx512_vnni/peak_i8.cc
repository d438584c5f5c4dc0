// vpdpbusd: 64 products in one instruction.
#include "kernels/peak_i8.h"

#include <immintrin.h>

namespace pocketr1::avx512_vnni {

std::uint64_t peak_i8(std::size_t rounds) {
  // Five cycles of latency, at most two a cycle: ten chains are enough, here are twelve.
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  __m512i s6 = s0, s7 = s0, s8 = s0, s9 = s0, s10 = s0, s11 = s0;
  const __m512i ones = _mm512_set1_epi8(1);
  for (std::size_t round = 0; round < rounds; ++round) {
    // Not the intrinsic: GCC 12 copies its operands around, and of chains that are all equal a
    // compiler may keep one.
    __asm__ volatile(
        "vpdpbusd %12, %12, %0\n\tvpdpbusd %12, %12, %1\n\tvpdpbusd %12, %12, %2\n\t"
        "vpdpbusd %12, %12, %3\n\tvpdpbusd %12, %12, %4\n\tvpdpbusd %12, %12, %5\n\t"
        "vpdpbusd %12, %12, %6\n\tvpdpbusd %12, %12, %7\n\tvpdpbusd %12, %12, %8\n\t"
        "vpdpbusd %12, %12, %9\n\tvpdpbusd %12, %12, %10\n\tvpdpbusd %12, %12, %11"
        : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8),
          "+v"(s9), "+v"(s10), "+v"(s11)
        : "v"(ones));
  }
  std::uint64_t total = 0;
  const __m512i sums[] = {s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11};
  for (const __m512i& chain : sums) {
    std::int32_t lanes[16];
    _mm512_storeu_si512(lanes, chain);
    for (const std::int32_t lane : lanes) total += static_cast<std::uint64_t>(lane);
  }
  return total;
}

}  // namespace pocketr1::avx512_vnni
