// 8-bit weights against int8 activations: flipping the sign bit turns a code into the unsigned
// operand of dpbusd, code + 128; the sum starts at -128 times the activations' sum.
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"

namespace pocketr1::avx512_vnni {
namespace {

inline __m512i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm512_set1_epi32(four);
}

template <std::size_t group, std::size_t batch>
void block_outputs(const LinearArgs& p, std::size_t block, std::size_t b) {
  const std::size_t groups = p.cols / group;
  const std::uint8_t* codes = p.codes + block * (p.cols / 4) * kTileBytes;
  const std::uint16_t* scales = p.scales + block * groups * kTileRows;
  const std::int8_t* a = p.a.codes + b * p.a.stride;
  const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
  const std::int32_t* a_sums = p.a.sums + b * (p.a.stride / kActivationSum);
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));

  __m512 total[batch];
  for (std::size_t i = 0; i < batch; ++i) total[i] = _mm512_setzero_ps();
  for (std::size_t g = 0; g < groups; ++g) {
    // Two chains per row: dpbusd takes five cycles and integer order does not matter.
    __m512i even_sum[batch];
    __m512i odd_sum[batch];
    for (std::size_t i = 0; i < batch; ++i) {
      std::int32_t a_sum = 0;
      for (std::size_t s = 0; s < group / kActivationSum; ++s) {
        a_sum += a_sums[i * (p.a.stride / kActivationSum) + g * (group / kActivationSum) + s];
      }
      even_sum[i] = _mm512_set1_epi32(-128 * a_sum);
      odd_sum[i] = _mm512_setzero_si512();
    }
    for (std::size_t k = g * group; k < (g + 1) * group; k += 8) {
      const std::uint8_t* tile = codes + k / 4 * kTileBytes;
      const __m512i even = _mm512_xor_si512(_mm512_loadu_si512(tile), sign);
      const __m512i odd = _mm512_xor_si512(_mm512_loadu_si512(tile + kTileBytes), sign);
      for (std::size_t i = 0; i < batch; ++i) {
        const std::int8_t* inputs = a + i * p.a.stride + k;
        even_sum[i] = _mm512_dpbusd_epi32(even_sum[i], even, broadcast4(inputs));
        odd_sum[i] = _mm512_dpbusd_epi32(odd_sum[i], odd, broadcast4(inputs + 4));
      }
    }
    const __m512 scale = _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + g * kTileRows)));
    for (std::size_t i = 0; i < batch; ++i) {
      const float a_scale =
          a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
      const __m512i sum = _mm512_add_epi32(even_sum[i], odd_sum[i]);
      total[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum),
                                 _mm512_mul_ps(scale, _mm512_set1_ps(a_scale)), total[i]);
    }
  }
  const std::size_t row = block * kTileRows;
  const __mmask16 rows = first_lanes(p.rows - row);
  for (std::size_t i = 0; i < batch; ++i) {
    _mm512_mask_storeu_ps(p.y + (b + i) * p.y_stride + row, rows, total[i]);
  }
}

template <std::size_t group, std::size_t most>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    std::size_t b = 0;
    for (; b + most <= p.batch; b += most) block_outputs<group, most>(p, block, b);
    for (; b + 4 <= p.batch; b += 4) block_outputs<group, 4>(p, block, b);
    switch (p.batch - b) {
      case 3:
        block_outputs<group, 3>(p, block, b);
        break;
      case 2:
        block_outputs<group, 2>(p, block, b);
        break;
      case 1:
        block_outputs<group, 1>(p, block, b);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void gemv_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, 4>(p, begin, end);
}
void gemm_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, 8>(p, begin, end);
}
void gemv_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, 4>(p, begin, end);
}
void gemm_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, 8>(p, begin, end);
}
void gemv_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, 4>(p, begin, end);
}
void gemm_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, 8>(p, begin, end);
}

}  // namespace pocketr1::avx512_vnni
