// 4-bit weights against int8 activations: maddubs takes the nibbles unsigned. Eight of its results,
// 2 * 15 * 127 each at the most, add up within 16 bits: 32 inputs before they have to be widened.
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"

namespace pocketr1::avx2 {

#include "kernels/avx2/linear_a8.inl"

namespace {

template <std::size_t group, bool zero_points>
struct W4 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitBytes = 4 * kTileBytes;
  static constexpr bool kStartPerBlock = zero_points;
  template <std::size_t rows>
  static inline __attribute__((always_inline)) void multiply(const std::uint8_t* codes,
                                                             const std::int8_t* inputs,
                                                             std::size_t stride,
                                                             __m256i (&sum)[rows]) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i pairs[rows];
#pragma GCC unroll 4
    for (std::size_t tile = 0; tile < 4; ++tile) {
      const __m256i both = load_half(codes + tile * kTileBytes);
      const __m256i low = _mm256_and_si256(both, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      add_pairs(tile == 0, low, high, inputs + tile * 8, stride, pairs);
    }
    widen_pairs(pairs, sum);
  }
  static __m256i start(std::int32_t a_sum, const std::uint8_t* zeros) {
    return start_unsigned<4, zero_points>(a_sum, zeros);
  }
};

}  // namespace

void gemv_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<32, false>>(p, begin, end);
}
void gemm_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<32, false>>(p, begin, end);
}
void gemv_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<64, false>>(p, begin, end);
}
void gemm_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<64, false>>(p, begin, end);
}
void gemv_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<128, false>>(p, begin, end);
}
void gemm_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<128, false>>(p, begin, end);
}
void gemv_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<32, true>>(p, begin, end);
}
void gemm_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<32, true>>(p, begin, end);
}
void gemv_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<64, true>>(p, begin, end);
}
void gemm_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<64, true>>(p, begin, end);
}
void gemv_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W4<128, true>>(p, begin, end);
}
void gemm_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W4<128, true>>(p, begin, end);
}

}  // namespace pocketr1::avx2
