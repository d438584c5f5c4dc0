// 2-bit weights against int8 activations: a tile holds four codes a byte. maddubs takes them
// unsigned; eight of its results, 2 * 3 * 127 each at the most, add up within 16 bits.
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"

namespace pocketr1::avx2 {

#include "kernels/avx2/linear_a8.inl"

namespace {

template <std::size_t group, bool zero_points>
struct W2 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitBytes = 2 * kTileBytes;
  static constexpr bool kStartPerBlock = zero_points;
  template <std::size_t rows>
  static inline __attribute__((always_inline)) void multiply(const std::uint8_t* codes,
                                                             const std::int8_t* inputs,
                                                             std::size_t stride,
                                                             __m256i (&sum)[rows]) {
    const __m256i two = _mm256_set1_epi8(3);
    __m256i pairs[rows];
#pragma GCC unroll 2
    for (std::size_t tile = 0; tile < 2; ++tile) {
      const __m256i four = load_half(codes + tile * kTileBytes);
      const std::int8_t* sixteen = inputs + tile * 16;
      add_pairs(tile == 0, _mm256_and_si256(four, two),
                _mm256_and_si256(_mm256_srli_epi16(four, 2), two), sixteen, stride, pairs);
      add_pairs(false, _mm256_and_si256(_mm256_srli_epi16(four, 4), two),
                _mm256_and_si256(_mm256_srli_epi16(four, 6), two), sixteen + 8, stride, pairs);
    }
    widen_pairs(pairs, sum);
  }
  static __m256i start(std::int32_t a_sum, const std::uint8_t* zeros) {
    return start_unsigned<2, zero_points>(a_sum, zeros);
  }
};

}  // namespace

void gemv_w2g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<32, false>>(p, begin, end);
}
void gemm_w2g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<32, false>>(p, begin, end);
}
void gemv_w2g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<64, false>>(p, begin, end);
}
void gemm_w2g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<64, false>>(p, begin, end);
}
void gemv_w2g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<128, false>>(p, begin, end);
}
void gemm_w2g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<128, false>>(p, begin, end);
}
void gemv_w2g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<32, true>>(p, begin, end);
}
void gemm_w2g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<32, true>>(p, begin, end);
}
void gemv_w2g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<64, true>>(p, begin, end);
}
void gemm_w2g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<64, true>>(p, begin, end);
}
void gemv_w2g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W2<128, true>>(p, begin, end);
}
void gemm_w2g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W2<128, true>>(p, begin, end);
}

}  // namespace pocketr1::avx2
