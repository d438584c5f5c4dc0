// 8-bit weights against int8 activations: maddubs of |code| and the activation with the code's
// sign; 2 * 127 * 127 stays within 16 bits, where an offset code would saturate.
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
template <std::size_t group, std::size_t batch>
void half_block_outputs(const LinearArgs& p, std::size_t block, std::size_t half, std::size_t b) {
  const std::size_t groups = p.cols / group;
  const std::uint8_t* codes = p.codes + block * (p.cols / 4) * kTileBytes + half * 32;
  const std::size_t first_scale = block * groups * kTileRows + half * 8;
  const std::int8_t* a = p.a.codes + b * p.a.stride;
  const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
  const __m256i ones = _mm256_set1_epi16(1);

  __m256 total[batch];
  for (std::size_t i = 0; i < batch; ++i) total[i] = _mm256_setzero_ps();
  for (std::size_t g = 0; g < groups; ++g) {
    __m256i sum[batch];
    for (std::size_t i = 0; i < batch; ++i) sum[i] = _mm256_setzero_si256();
    for (std::size_t k = g * group; k < (g + 1) * group; k += 4) {
      const __m256i tile =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + k / 4 * kTileBytes));
      const __m256i magnitude = _mm256_abs_epi8(tile);
      for (std::size_t i = 0; i < batch; ++i) {
        const __m256i inputs = _mm256_sign_epi8(broadcast4(a + i * p.a.stride + k), tile);
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, inputs);
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

template <std::size_t group, std::size_t batch>
void block_outputs(const LinearArgs& p, std::size_t block, std::size_t b) {
  half_block_outputs<group, batch>(p, block, 0, b);
  half_block_outputs<group, batch>(p, block, 1, b);
}

template <std::size_t group, std::size_t most>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    std::size_t b = 0;
    for (; b + most <= p.batch; b += most) block_outputs<group, most>(p, block, b);
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
  linear<32, 4>(p, begin, end);
}
void gemv_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, 4>(p, begin, end);
}
void gemm_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64, 4>(p, begin, end);
}
void gemv_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, 4>(p, begin, end);
}
void gemm_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128, 4>(p, begin, end);
}

}  // namespace pocketr1::avx2
