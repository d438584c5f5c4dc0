// vpmaddubsw, vpmaddwd and vpaddd: three instructions for 32 products.
#include "kernels/peak_i8.h"

#include <immintrin.h>

namespace pocketr1::avx2 {

std::uint64_t peak_i8(std::size_t rounds) {
  __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  const __m256i ones = _mm256_set1_epi8(1);
  const __m256i pairs_of_ones = _mm256_set1_epi16(1);
  for (std::size_t round = 0; round < rounds; ++round) {
    // Not the intrinsics: a compiler would take the product, always the same, out of the loop.
    __m256i pairs;
    __asm__ volatile(
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %0, %0\n\t"
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %1, %1\n\t"
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %2, %2\n\t"
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %3, %3\n\t"
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %4, %4\n\t"
        "vpmaddubsw %7, %7, %6\n\tvpmaddwd %8, %6, %6\n\tvpaddd %6, %5, %5"
        : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "=&x"(pairs)
        : "x"(ones), "x"(pairs_of_ones));
  }
  std::uint64_t total = 0;
  const __m256i sums[] = {s0, s1, s2, s3, s4, s5};
  for (const __m256i& chain : sums) {
    std::int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), chain);
    for (const std::int32_t lane : lanes) total += static_cast<std::uint64_t>(lane);
  }
  return total;
}

}  // namespace pocketr1::avx2
