// 4-bit weights against int8 activations: half a tile is one register, 8 rows x 4 bytes. maddubs
// takes the nibbles unsigned; 2 * 15 * 127 per pair, low and high added, stays within 16 bits.
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"

namespace pocketr1::avx2 {
namespace {

inline __m256i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

// Rows [8 * half, 8 * half + 8) of a block, for `batch` rows of activations.
template <std::size_t group, bool zero_points, std::size_t batch>
void half_block_outputs(const LinearArgs& p, std::size_t block, std::size_t half, std::size_t b) {
  const std::size_t groups = p.cols / group;
  const std::uint8_t* codes = p.codes + block * (p.cols / 8) * kTileBytes + half * 32;
  const std::size_t first_scale = block * groups * kTileRows + half * 8;
  const std::int8_t* a = p.a.codes + b * p.a.stride;
  const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
  const std::int32_t* a_sums = p.a.sums + b * (p.a.stride / kActivationSum);
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);

  __m256 total[batch];
  for (std::size_t i = 0; i < batch; ++i) total[i] = _mm256_setzero_ps();
  for (std::size_t g = 0; g < groups; ++g) {
    __m256i sum[batch];
    for (std::size_t i = 0; i < batch; ++i) {
      std::int32_t a_sum = 0;
      for (std::size_t s = 0; s < group / kActivationSum; ++s) {
        a_sum += a_sums[i * (p.a.stride / kActivationSum) + g * (group / kActivationSum) + s];
      }
      if constexpr (zero_points) {
        const __m256i zero_point = _mm256_cvtepu8_epi32(_mm_loadl_epi64(
            reinterpret_cast<const __m128i*>(p.zeros + first_scale + g * kTileRows)));
        sum[i] = _mm256_mullo_epi32(zero_point, _mm256_set1_epi32(-a_sum));
      } else {
        sum[i] = _mm256_set1_epi32(-8 * a_sum);
      }
    }
    for (std::size_t k = g * group; k < (g + 1) * group; k += 8) {
      const __m256i tile =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + k / 8 * kTileBytes));
      const __m256i low = _mm256_and_si256(tile, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(tile, 4), nibble);
      for (std::size_t i = 0; i < batch; ++i) {
        const std::int8_t* inputs = a + i * p.a.stride + k;
        const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(low, broadcast4(inputs)),
                                               _mm256_maddubs_epi16(high, broadcast4(inputs + 4)));
        sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
      }
    }
    const __m256 scale = _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p.scales + first_scale + g * kTileRows)));
    for (std::size_t i = 0; i < batch; ++i) {
      const float a_scale =
          a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
      total[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i]),
                                 _mm256_mul_ps(scale, _mm256_set1_ps(a_scale)), total[i]);
    }
  }
  const std::size_t row = block * kTileRows + half * 8;
  if (row >= p.rows) return;
  const __m256i rows = first_lanes(p.rows - row);
  for (std::size_t i = 0; i < batch; ++i) {
    _mm256_maskstore_ps(p.y + (b + i) * p.y_stride + row, rows, total[i]);
  }
}

template <std::size_t group, bool zero_points, std::size_t batch>
void block_outputs(const LinearArgs& p, std::size_t block, std::size_t b) {
  half_block_outputs<group, zero_points, batch>(p, block, 0, b);
  half_block_outputs<group, zero_points, batch>(p, block, 1, b);
}

template <std::size_t group, bool zero_points, std::size_t most>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    std::size_t b = 0;
    for (; b + most <= p.batch; b += most) block_outputs<group, zero_points, most>(p, block, b);
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
  linear<32, false, 4>(p, begin, end);
}
void gemv_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, false, 4>(p, begin, end);
}
void gemm_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, false, 4>(p, begin, end);
}
void gemv_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, false, 4>(p, begin, end);
}
void gemm_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, false, 4>(p, begin, end);
}
void gemv_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, true, 4>(p, begin, end);
}
void gemm_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32, true, 4>(p, begin, end);
}
void gemv_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, true, 4>(p, begin, end);
}
void gemm_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, true, 4>(p, begin, end);
}
void gemv_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, true, 4>(p, begin, end);
}
void gemm_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, true, 4>(p, begin, end);
}

}  // namespace pocketr1::avx2
