// 8-bit weights against int8 activations: a tile is four registers, 4 rows x 4 codes each, which
// sdot takes as they are, four activations by lane.
#include "kernels/neon_dotprod/gemm.h"
#include "kernels/neon_dotprod/kernels.h"

namespace pocketr1::neon_dotprod {
namespace {

constexpr std::size_t kAhead = 2048;  // bytes of codes to prefetch

template <int lane, std::size_t quarters, std::size_t batch>
inline void add_tile(const std::int8_t* tile, const int8x16_t (&a)[batch],
                     int32x4_t (&sum)[batch][quarters]) {
  for (std::size_t q = 0; q < quarters; ++q) {
    const int8x16_t codes = vld1q_s8(tile + 16 * q);
    for (std::size_t i = 0; i < batch; ++i)
      sum[i][q] = vdotq_laneq_s32(sum[i][q], codes, a[i], lane);
  }
}

// `quarters` times 4 rows of a block, from row 4 * first on, for `batch` rows of activations.
template <std::size_t group, std::size_t quarters, std::size_t batch>
void quarter_outputs(const LinearArgs& p, std::size_t block, std::size_t first, std::size_t b) {
  const std::size_t groups = p.cols / group;
  const std::int8_t* codes = reinterpret_cast<const std::int8_t*>(p.codes) +
                             block * (p.cols / 4) * kTileBytes + first * 16;
  const std::uint16_t* scales = p.scales + block * groups * kTileRows + first * 4;
  const std::int8_t* a = p.a.codes + b * p.a.stride;
  const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);

  float32x4_t total[batch][quarters];
  for (std::size_t i = 0; i < batch; ++i) {
    for (std::size_t q = 0; q < quarters; ++q) total[i][q] = vdupq_n_f32(0.0f);
  }
  for (std::size_t g = 0; g < groups; ++g) {
    // Two chains per row: sdot takes three cycles, and one row's four sums come round in two.
    int32x4_t even[batch][quarters];
    int32x4_t odd[batch][quarters];
    for (std::size_t i = 0; i < batch; ++i) {
      for (std::size_t q = 0; q < quarters; ++q) {
        even[i][q] = vdupq_n_s32(kSumOriginBits);
        odd[i][q] = vdupq_n_s32(0);
      }
    }
    for (std::size_t k = g * group; k < (g + 1) * group; k += 16) {
      int8x16_t inputs[batch];
      for (std::size_t i = 0; i < batch; ++i) inputs[i] = vld1q_s8(a + i * p.a.stride + k);
      const std::int8_t* tile = codes + k / 4 * kTileBytes;
      for (std::size_t t = 0; t < 4; ++t) __builtin_prefetch(tile + kAhead + t * kTileBytes);
      constexpr bool two_chains = batch == 1;
      add_tile<0>(tile, inputs, even);
      add_tile<1>(tile + kTileBytes, inputs, two_chains ? odd : even);
      add_tile<2>(tile + 2 * kTileBytes, inputs, even);
      add_tile<3>(tile + 3 * kTileBytes, inputs, two_chains ? odd : even);
    }
    for (std::size_t q = 0; q < quarters; ++q) {
      const float32x4_t scale = widen_f16(scales + g * kTileRows + 4 * q);
      for (std::size_t i = 0; i < batch; ++i) {
        const float a_scale =
            a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
        total[i][q] =
            add_group(total[i][q], vaddq_s32(even[i][q], odd[i][q]), vmulq_n_f32(scale, a_scale));
      }
    }
  }
  for (std::size_t q = 0; q < quarters; ++q) {
    const std::size_t row = block * kTileRows + (first + q) * 4;
    if (row >= p.rows) return;
    for (std::size_t i = 0; i < batch; ++i) {
      store_outputs(p.y + (b + i) * p.y_stride + row, total[i][q], p.rows - row);
    }
  }
}

// Sums and totals of three or four rows of activations fit for half a block.
template <std::size_t group>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    switch (p.batch) {
      case 1:
        quarter_outputs<group, 4, 1>(p, block, 0, 0);
        break;
      case 2:
        quarter_outputs<group, 4, 2>(p, block, 0, 0);
        break;
      case 3:
        quarter_outputs<group, 2, 3>(p, block, 0, 0);
        quarter_outputs<group, 2, 3>(p, block, 2, 0);
        break;
      case 4:
        quarter_outputs<group, 2, 4>(p, block, 0, 0);
        quarter_outputs<group, 2, 4>(p, block, 2, 0);
        break;
      default:
        break;
    }
  }
}

// Codes lie in memory as a panel has them.
struct Weights8 {
  const std::int8_t* bytes;
  Weights8(const LinearArgs& p, std::size_t block)
      : bytes(reinterpret_cast<const std::int8_t*>(p.codes) + block * (p.cols / 4) * kTileBytes) {}
  const std::int8_t* codes(std::size_t first, std::size_t, Panel&) const {
    return bytes + first / kTileInputs * kTileBytes;
  }
};

}  // namespace

void gemv_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<32>(p, begin, end);
}
void gemm_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, Weights8>(p, begin, end);
}
void gemv_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<64>(p, begin, end);
}
void gemm_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, Weights8>(p, begin, end);
}
void gemv_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<128>(p, begin, end);
}
void gemm_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, Weights8>(p, begin, end);
}

}  // namespace pocketr1::neon_dotprod
