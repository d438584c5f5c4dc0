// 3-bit weights against int8 activations: three tiles hold two codes a byte, and in what is left of
// their bytes a fourth pair; codes are unsigned as they are.
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"

namespace pocketr1::avx512_vnni {

#include "kernels/avx512_vnni/linear_a8.inl"

namespace {

template <std::size_t group, bool zero_points>
struct W3 {
  static constexpr std::size_t kGroup = group;
  static constexpr std::size_t kUnitInputs = 32;
  static constexpr std::size_t kUnitBytes = 3 * kTileBytes;
  static constexpr bool kStartPerBlock = zero_points;
  template <std::size_t step>
  static void load(const std::uint8_t* tiles, __m512i& first, __m512i& second) {
    const __m512i three = _mm512_set1_epi8(7);
    if constexpr (step < 3) {
      const __m512i both = _mm512_loadu_si512(tiles + step * kTileBytes);
      first = _mm512_and_si512(both, three);
      second = _mm512_and_si512(_mm512_srli_epi16(both, 3), three);
    } else {
      const __m512i low = _mm512_srli_epi16(_mm512_loadu_si512(tiles), 4);
      const __m512i middle = _mm512_srli_epi16(_mm512_loadu_si512(tiles + kTileBytes), 2);
      const __m512i high = _mm512_loadu_si512(tiles + 2 * kTileBytes);
      // Bit by bit, where the first has a one, the second, else the third.
      constexpr int select = 0xca;
      const __m512i lower = _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x30), middle, low, select);
      const __m512i six = _mm512_ternarylogic_epi32(_mm512_set1_epi8(static_cast<char>(0xc0)), high,
                                                    lower, select);  // in bits 2..7
      first = _mm512_and_si512(_mm512_srli_epi16(six, 2), three);
      second = _mm512_and_si512(_mm512_srli_epi16(six, 5), three);
    }
  }
  static __m512i start(std::int32_t a_sum, const std::uint8_t* zeros) {
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

}  // namespace pocketr1::avx512_vnni
