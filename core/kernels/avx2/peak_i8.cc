// vpmaddubsw, vpmaddwd and vpaddd: three instructions for 32 products.
#include "kernels/peak_i8.h"

#include <immintrin.h>

namespace pocketr1::avx2 {

std::uint64_t peak_i8(std::size_t rounds) {
  constexpr std::size_t kChains = 8;
  const __m256i pairs_of_ones = _mm256_set1_epi16(1);
  __m256i ones = _mm256_set1_epi8(1);
  __m256i sum[kChains];
  for (__m256i& chain : sum) chain = _mm256_setzero_si256();
  for (std::size_t round = 0; round < rounds; ++round) {
    for (__m256i& chain : sum) {
      // So that the compiler does not take the same product out of the loop.
      __asm__ volatile("" : "+x"(ones));
      const __m256i pairs = _mm256_maddubs_epi16(ones, ones);
      chain = _mm256_add_epi32(chain, _mm256_madd_epi16(pairs, pairs_of_ones));
    }
  }
  std::uint64_t total = 0;
  for (const __m256i& chain : sum) {
    std::int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), chain);
    for (const std::int32_t lane : lanes) total += static_cast<std::uint64_t>(lane);
  }
  return total;
}

}  // namespace pocketr1::avx2
