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
[[gnu::noinline]] void quarter_outputs(const LinearArgs& p, std::size_t block, std::size_t first) {
  const std::size_t groups = p.cols / group;
  const std::int8_t* codes = reinterpret_cast<const std::int8_t*>(p.codes) +
                             block * (p.cols / 4) * kTileBytes + first * 16;
  const std::uint16_t* scales = p.scales + block * groups * kTileRows + first * 4;
  const std::int8_t* a = p.a.codes;
  const float* a_scales = p.a.scales;

  float32x4_t total[batch][quarters];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) total[i][q] = vdupq_n_f32(0.0f);
  }
  for (std::size_t g = 0; g < groups; ++g) {
    int32x4_t sum[batch][quarters];
    const std::int32_t (*origins)[4] = sum_origins();
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
      for (std::size_t q = 0; q < quarters; ++q) sum[i][q] = vld1q_s32(origins[quarters * i + q]);
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < group; k += 16) {
      keep_order(sum);
      int8x16_t inputs[batch];
      for (std::size_t i = 0; i < batch; ++i) inputs[i] = vld1q_s8(a + i * p.a.stride + k);
      const std::int8_t* tile = codes + k / 4 * kTileBytes;
      for (std::size_t t = 0; t < 4; ++t) __builtin_prefetch(tile + kAhead + t * kTileBytes);
      add_tile<0>(tile, inputs, sum);
      add_tile<1>(tile + kTileBytes, inputs, sum);
      add_tile<2>(tile + 2 * kTileBytes, inputs, sum);
      add_tile<3>(tile + 3 * kTileBytes, inputs, sum);
    }
    codes += group / 4 * kTileBytes;
    a += group;
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const float32x4_t scale = widen_f16(scales + g * kTileRows + 4 * q);
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
template <std::size_t group>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    switch (p.batch) {
      case 1:
        quarter_outputs<group, 4, 1>(p, block, 0);
        break;
      case 2:
        quarter_outputs<group, 4, 2>(p, block, 0);
        break;
      case 3:
        quarter_outputs<group, 2, 3>(p, block, 0);
        quarter_outputs<group, 2, 3>(p, block, 2);
        break;
      case 4:
        quarter_outputs<group, 2, 4>(p, block, 0);
        quarter_outputs<group, 2, 4>(p, block, 2);
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
