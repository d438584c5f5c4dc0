// 8-bit weights against int8 activations: flipping the sign bit makes a code unsigned, code + 128;
// the sum starts at -128 times the activations' sum.
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"

namespace pocketr1::avx512_vnni {

#include "kernels/avx512_vnni/linear_a8.inl"

namespace {

template <std::size_t group>
struct W8 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitInputs = 8;
  static constexpr std::size_t kUnitBytes = 2 * kTileBytes;
  static constexpr bool kStartPerBlock = false;
  template <std::size_t step>
  static void load(const std::uint8_t* tile, __m512i& first, __m512i& second) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
    first = _mm512_xor_si512(_mm512_loadu_si512(tile), sign);
    second = _mm512_xor_si512(_mm512_loadu_si512(tile + kTileBytes), sign);
  }
  static __m512i start(std::int32_t a_sum, const std::uint8_t*) {
    return _mm512_set1_epi32(-128 * a_sum);
  }
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

}  // namespace pocketr1::avx512_vnni
