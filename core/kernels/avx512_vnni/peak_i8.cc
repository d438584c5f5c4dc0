// vpdpbusd: 64 products in one instruction.
#include "kernels/peak_i8.h"

#include <immintrin.h>

namespace pocketr1::avx512_vnni {

std::uint64_t peak_i8(std::size_t rounds) {
  // Five cycles of latency, at most two a cycle: ten chains are enough.
  constexpr std::size_t kChains = 16;
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum[kChains];
  for (__m512i& chain : sum) chain = _mm512_setzero_si512();
  for (std::size_t round = 0; round < rounds; ++round) {
    for (__m512i& chain : sum) chain = _mm512_dpbusd_epi32(chain, ones, ones);
  }
  std::uint64_t total = 0;
  for (const __m512i& chain : sum) {
    std::int32_t lanes[16];
    _mm512_storeu_si512(lanes, chain);
    for (const std::int32_t lane : lanes) total += static_cast<std::uint64_t>(lane);
  }
  return total;
}

}  // namespace pocketr1::avx512_vnni
