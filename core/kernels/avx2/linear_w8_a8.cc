// 8-bit weights against int8 activations: maddubs of |code| and the activation with the code's
// sign; 2 * 127 * 127 stays within 16 bits, where an offset code would saturate.
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"

namespace pocketr1::avx2 {

#include "kernels/avx2/linear_a8.inl"

namespace {

template <std::size_t group>
struct W8 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitBytes = 8 * kTileBytes;
  static constexpr bool kStartPerBlock = false;
  template <std::size_t rows>
  static inline __attribute__((always_inline)) void multiply(const std::uint8_t* codes,
                                                             const std::int8_t* inputs,
                                                             std::size_t stride,
                                                             __m256i (&sum)[rows]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (std::size_t tile = 0; tile < 8; ++tile) {
      const __m256i weights =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + tile * kTileBytes));
      const __m256i magnitude = _mm256_abs_epi8(weights);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < rows; ++i) {
        const __m256i four = _mm256_sign_epi8(broadcast4(inputs + i * stride + tile * 4), weights);
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, four);
        sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
        // Keeps GCC from adding in another order, which takes more registers than there are.
        asm("" : "+x"(sum[i]));
      }
    }
  }
  static __m256i start(std::int32_t, const std::uint8_t*) { return _mm256_setzero_si256(); }
};

}  // namespace

void gemv_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W8<32>>(p, begin, end);
}
void gemm_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W8<32>>(p, begin, end);
}
void gemv_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W8<64>>(p, begin, end);
}
void gemm_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W8<64>>(p, begin, end);
}
void gemv_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<W8<128>>(p, begin, end);
}
void gemm_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<W8<128>>(p, begin, end);
}

}  // namespace pocketr1::avx2
