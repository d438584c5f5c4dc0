// 3-bit weights against int8 activations: three tiles hold two codes a byte, and in what is left of
// their bytes a fourth pair. maddubs takes codes unsigned; eight of its results, 2 * 7 * 127 each
// at the most, add up within 16 bits.
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"

namespace pocketr1::avx2 {

#include "kernels/avx2/linear_a8.inl"

namespace {

template <std::size_t group, bool zero_points>
struct W3 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitBytes = 3 * kTileBytes;
  static constexpr bool kStartPerBlock = zero_points;
  template <std::size_t rows>
  static inline __attribute__((always_inline)) void multiply(const std::uint8_t* codes,
                                                             const std::int8_t* inputs,
                                                             std::size_t stride,
                                                             __m256i (&sum)[rows]) {
    const __m256i three = _mm256_set1_epi8(7);
    __m256i pairs[rows];
    // Activations are loaded again for the other half of a block: they would fill the registers.
    asm volatile("" : : : "memory");
#pragma GCC unroll 3
    for (std::size_t tile = 0; tile < 3; ++tile) {
      const __m256i both = load_half(codes + tile * kTileBytes);
      const __m256i low = _mm256_and_si256(both, three);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 3), three);
      add_pairs(tile == 0, low, high, inputs + tile * 8, stride, pairs);
    }
    const __m256i last = _mm256_srli_epi16(load_half(codes), 6);
    const __m256i middle = _mm256_srli_epi16(load_half(codes + kTileBytes), 4);
    const __m256i first = _mm256_srli_epi16(load_half(codes + 2 * kTileBytes), 2);
    const __m256i six =
        _mm256_or_si256(_mm256_or_si256(_mm256_and_si256(last, _mm256_set1_epi8(3)),
                                        _mm256_and_si256(middle, _mm256_set1_epi8(0x0c))),
                        _mm256_and_si256(first, _mm256_set1_epi8(0x30)));
    add_pairs(false, _mm256_and_si256(six, three),
              _mm256_and_si256(_mm256_srli_epi16(six, 3), three), inputs + 24, stride, pairs);
    widen_pairs(pairs, sum);
  }
  static __m256i start(std::int32_t a_sum, const std::uint8_t* zeros) {
    return start_unsigned<3, zero_points>(a_sum, zeros);
  }
};

}  // namespace

void gemv_w3g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<32, false>>(p, begin, end);
}
void gemm_w3g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<32, false>>(p, begin, end);
}
void gemv_w3g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<64, false>>(p, begin, end);
}
void gemm_w3g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<64, false>>(p, begin, end);
}
void gemv_w3g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<128, false>>(p, begin, end);
}
void gemm_w3g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<128, false>>(p, begin, end);
}
void gemv_w3g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<32, true>>(p, begin, end);
}
void gemm_w3g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<32, true>>(p, begin, end);
}
void gemv_w3g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<64, true>>(p, begin, end);
}
void gemm_w3g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<64, true>>(p, begin, end);
}
void gemv_w3g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W3<128, true>>(p, begin, end);
}
void gemm_w3g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W3<128, true>>(p, begin, end);
}

}  // namespace pocketr1::avx2
