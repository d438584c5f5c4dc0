// 4-bit weights against int8 activations: a tile is one register, 16 rows x 4 bytes; its nibbles
// are unsigned as they are.
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"

namespace pocketr1::avx512_vnni {

#include "kernels/avx512_vnni/linear_a8.inl"

namespace {

template <std::size_t group, bool zero_points>
struct W4 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitInputs = 8;
  static constexpr std::size_t kUnitBytes = kTileBytes;
  static constexpr bool kStartPerBlock = zero_points;
  template <std::size_t step>
  static void load(const std::uint8_t* tile, __m512i& first, __m512i& second) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i both = _mm512_loadu_si512(tile);
    first = _mm512_and_si512(both, nibble);
    second = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
  }
  static __m512i start(std::int32_t a_sum, const std::uint8_t* zeros) {
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

}  // namespace pocketr1::avx512_vnni
