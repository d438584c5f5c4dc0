// 4-bit weights against int8 activations: a tile is one register, 16 rows x 4 bytes; its low and
// its high nibbles are the unsigned operand of dpbusd, four broadcast activations the signed one.
// dpbusd does not saturate, and every sum of a group fits in 32 bits.
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"

namespace pocketr1::avx512_vnni {
namespace {

inline __m512i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm512_set1_epi32(four);
}

template <std::size_t group, bool zero_points, std::size_t batch>
void block_outputs(const LinearArgs& p, std::size_t block, std::size_t b) {
  const std::size_t groups = p.cols / group;
  const std::uint8_t* codes = p.codes + block * (p.cols / 8) * kTileBytes;
  const std::uint16_t* scales = p.scales + block * groups * kTileRows;
  const std::uint8_t* zeros = zero_points ? p.zeros + block * groups * kTileRows : nullptr;
  const std::int8_t* a = p.a.codes + b * p.a.stride;
  const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
  const std::int32_t* a_sums = p.a.sums + b * (p.a.stride / kActivationSum);
  const __m512i nibble = _mm512_set1_epi8(15);

  __m512 total[batch];
  for (std::size_t i = 0; i < batch; ++i) total[i] = _mm512_setzero_ps();
  for (std::size_t g = 0; g < groups; ++g) {
    // Two chains per row: dpbusd takes five cycles and integer order does not matter.
    __m512i low_sum[batch];
    __m512i high_sum[batch];
    for (std::size_t i = 0; i < batch; ++i) {
      std::int32_t a_sum = 0;
      for (std::size_t s = 0; s < group / kActivationSum; ++s) {
        a_sum += a_sums[i * (p.a.stride / kActivationSum) + g * (group / kActivationSum) + s];
      }
      if constexpr (zero_points) {
        const __m512i zero_point = _mm512_cvtepu8_epi32(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros + g * kTileRows)));
        low_sum[i] = _mm512_mullo_epi32(zero_point, _mm512_set1_epi32(-a_sum));
      } else {
        low_sum[i] = _mm512_set1_epi32(-8 * a_sum);
      }
      high_sum[i] = _mm512_setzero_si512();
    }
    for (std::size_t k = g * group; k < (g + 1) * group; k += 8) {
      const __m512i tile = _mm512_loadu_si512(codes + k / 8 * kTileBytes);
      const __m512i low = _mm512_and_si512(tile, nibble);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(tile, 4), nibble);
      for (std::size_t i = 0; i < batch; ++i) {
        const std::int8_t* inputs = a + i * p.a.stride + k;
        low_sum[i] = _mm512_dpbusd_epi32(low_sum[i], low, broadcast4(inputs));
        high_sum[i] = _mm512_dpbusd_epi32(high_sum[i], high, broadcast4(inputs + 4));
      }
    }
    const __m512 scale = _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + g * kTileRows)));
    for (std::size_t i = 0; i < batch; ++i) {
      const float a_scale =
          a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
      const __m512i sum = _mm512_add_epi32(low_sum[i], high_sum[i]);
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

// A block's codes stay in the first cache while every row of activations passes over them.
template <std::size_t group, bool zero_points, std::size_t most>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    std::size_t b = 0;
    for (; b + most <= p.batch; b += most) block_outputs<group, zero_points, most>(p, block, b);
    for (; b + 4 <= p.batch; b += 4) block_outputs<group, zero_points, 4>(p, block, b);
    switch (p.batch - b) {
      case 3:
        block_outputs<group, zero_points, 3>(p, block, b);
        break;
      case 2:
        block_outputs<group, zero_points, 2>(p, block, b);
        break;
      case 1:
        block_outputs<group, zero_points, 1>(p, block, b);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void gemv_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, false, 4>(p, begin, end);
}
void gemm_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, false, 8>(p, begin, end);
}
void gemv_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, false, 4>(p, begin, end);
}
void gemm_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, false, 8>(p, begin, end);
}
void gemv_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, false, 4>(p, begin, end);
}
void gemm_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, false, 8>(p, begin, end);
}
void gemv_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, true, 4>(p, begin, end);
}
void gemm_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, true, 8>(p, begin, end);
}
void gemv_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, true, 4>(p, begin, end);
}
void gemm_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, true, 8>(p, begin, end);
}
void gemv_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, true, 4>(p, begin, end);
}
void gemm_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, true, 8>(p, begin, end);
}

}  // namespace pocketr1::avx512_vnni
