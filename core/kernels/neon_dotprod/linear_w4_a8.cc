// 4-bit weights against int8 activations: a tile is four registers, 4 rows x 4 bytes each; its low
// and its high nibbles, 0..15, are as good signed as unsigned, and sdot takes four activations by
// lane. The zero point comes off in a group's start value, or where a panel is unpacked.
#include "kernels/neon_dotprod/gemm.h"
#include "kernels/neon_dotprod/kernels.h"

namespace pocketr1::neon_dotprod {
namespace {

constexpr std::size_t kAhead = 2048;  // bytes of codes to prefetch

// One tile against lanes `lane` and `lane + 1` of each row of activations.
template <int lane, std::size_t quarters, std::size_t batch>
inline void add_tile(const std::uint8_t* tile, const int8x16_t (&a)[batch],
                     int32x4_t (&sum)[batch][quarters]) {
#pragma GCC unroll 4
  for (std::size_t q = 0; q < quarters; ++q) {
    const uint8x16_t both = vld1q_u8(tile + 16 * q);
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i) sum[i][q] = vdotq_laneq_s32(sum[i][q], low, a[i], lane);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i)
      sum[i][q] = vdotq_laneq_s32(sum[i][q], high, a[i], lane + 1);
  }
}

// Four rows' zero points as int32.
inline int32x4_t widen_zeros(const std::uint8_t* zeros) {
  std::uint32_t four;
  __builtin_memcpy(&four, zeros, 4);
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

// `quarters` times 4 rows of a block, from row 4 * first on, for `batch` rows of activations.
template <std::size_t group, bool zero_points, std::size_t quarters, std::size_t batch>
[[gnu::noinline]] void quarter_outputs(const LinearArgs& p, std::size_t block, std::size_t first) {
  const std::size_t groups = p.cols / group;
  const std::uint8_t* codes = p.codes + block * (p.cols / 8) * kTileBytes + first * 16;
  const std::size_t first_scale = block * groups * kTileRows + first * 4;
  const std::int8_t* a = p.a.codes;
  const float* a_scales = p.a.scales;
  const std::int32_t* a_sums = p.a.sums;

  float32x4_t total[batch][quarters];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) total[i][q] = vdupq_n_f32(0.0f);
  }
  for (std::size_t g = 0; g < groups; ++g) {
    int32x4_t sum[batch][quarters];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i) {
      std::int32_t a_sum = 0;
      for (std::size_t s = 0; s < group / kActivationSum; ++s) {
        a_sum += a_sums[i * (p.a.stride / kActivationSum) + g * (group / kActivationSum) + s];
      }
#pragma GCC unroll 4
      for (std::size_t q = 0; q < quarters; ++q) {
        if constexpr (zero_points) {
          const int32x4_t zero = widen_zeros(p.zeros + first_scale + g * kTileRows + 4 * q);
          sum[i][q] = vmlaq_s32(vdupq_n_s32(kSumOriginBits), zero, vdupq_n_s32(-a_sum));
        } else {
          sum[i][q] = vdupq_n_s32(kSumOriginBits - 8 * a_sum);
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < group; k += 16) {
      keep_order(sum);
      int8x16_t inputs[batch];
      for (std::size_t i = 0; i < batch; ++i) inputs[i] = vld1q_s8(a + i * p.a.stride + k);
      const std::uint8_t* tile = codes + k / 8 * kTileBytes;
      __builtin_prefetch(tile + kAhead);
      __builtin_prefetch(tile + kAhead + kTileBytes);
      add_tile<0>(tile, inputs, sum);
      keep_order(sum);
      add_tile<2>(tile + kTileBytes, inputs, sum);
    }
    codes += group / 8 * kTileBytes;
    a += group;
    const std::uint16_t* scales = p.scales + first_scale + g * kTileRows;
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const float32x4_t scale = widen_f16(scales + 4 * q);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < batch; ++i) {
        const float a_scale =
            a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
        total[i][q] = add_group(total[i][q], sum[i][q], vmulq_n_f32(scale, a_scale));
      }
    }
  }
  float* y = p.y + block * kTileRows + first * 4;
  const std::size_t rows = p.rows - block * kTileRows;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const std::size_t before = (first + q) * 4;
      store_outputs(y + i * p.y_stride + 4 * q, total[i][q], rows > before ? rows - before : 0);
    }
  }
}

// Sums and totals of three or four rows of activations fit for half a block.
template <std::size_t group, bool zero_points>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    switch (p.batch) {
      case 1:
        quarter_outputs<group, zero_points, 4, 1>(p, block, 0);
        break;
      case 2:
        quarter_outputs<group, zero_points, 4, 2>(p, block, 0);
        break;
      case 3:
        quarter_outputs<group, zero_points, 2, 3>(p, block, 0);
        quarter_outputs<group, zero_points, 2, 3>(p, block, 2);
        break;
      case 4:
        quarter_outputs<group, zero_points, 2, 4>(p, block, 0);
        quarter_outputs<group, zero_points, 2, 4>(p, block, 2);
        break;
      default:
        break;
    }
  }
}

template <std::size_t group, bool zero_points>
struct Weights4 {
  const std::uint8_t* bytes;
  const std::uint8_t* zeros;
  Weights4(const LinearArgs& p, std::size_t block)
      : bytes(p.codes + block * (p.cols / 8) * kTileBytes),
        zeros(zero_points ? p.zeros + block * (p.cols / group) * kTileRows : nullptr) {}

  const std::int8_t* codes(std::size_t first, std::size_t inputs, Panel& panel) const {
    const std::uint8_t* tile = bytes + first / 8 * kTileBytes;
    std::int8_t* out = panel.codes;
    for (std::size_t g = first / group; g < (first + inputs) / group; ++g) {
      uint8x16_t zero[4];  // of 4 rows, each four times
      for (std::size_t q = 0; q < 4; ++q) zero[q] = vdupq_n_u8(8);
      if constexpr (zero_points) {
        const uint8x16_t all = vld1q_u8(zeros + g * kTileRows);
        const uint8x16x2_t pairs = vzipq_u8(all, all);
        for (std::size_t q = 0; q < 4; ++q) {
          const uint16x8_t pair = vreinterpretq_u16_u8(pairs.val[q / 2]);
          const uint16x8x2_t fours = vzipq_u16(pair, pair);
          zero[q] = vreinterpretq_u8_u16(fours.val[q % 2]);
        }
      }
      for (std::size_t k = 0; k < group; k += 8) {
        __builtin_prefetch(tile + kAhead);
        for (std::size_t q = 0; q < 4; ++q) {
          const uint8x16_t both = vld1q_u8(tile + 16 * q);
          const uint8x16_t low = vsubq_u8(vandq_u8(both, vdupq_n_u8(15)), zero[q]);
          const uint8x16_t high = vsubq_u8(vshrq_n_u8(both, 4), zero[q]);
          vst1q_s8(out + 16 * q, vreinterpretq_s8_u8(low));
          vst1q_s8(out + 16 * q + kTileBytes, vreinterpretq_s8_u8(high));
        }
        tile += kTileBytes;
        out += 2 * kTileBytes;
      }
    }
    return panel.codes;
  }
};

}  // namespace

void gemv_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<32, false>(p, begin, end);
}
void gemm_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, Weights4<32, false>>(p, begin, end);
}
void gemv_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<64, false>(p, begin, end);
}
void gemm_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, Weights4<64, false>>(p, begin, end);
}
void gemv_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<128, false>(p, begin, end);
}
void gemm_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, Weights4<128, false>>(p, begin, end);
}
void gemv_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<32, true>(p, begin, end);
}
void gemm_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, Weights4<32, true>>(p, begin, end);
}
void gemv_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<64, true>(p, begin, end);
}
void gemm_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, Weights4<64, true>>(p, begin, end);
}
void gemv_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<128, true>(p, begin, end);
}
void gemm_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, Weights4<128, true>>(p, begin, end);
}

}  // namespace pocketr1::neon_dotprod
