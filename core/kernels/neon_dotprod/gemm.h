// Many rows of activations against signed 8-bit codes in tiles of 16 rows x 4 inputs.
//
// A block's codes for up to 512 inputs are unpacked once for up to 64 rows of activations: fewer
// bits become 8, less their zero point, and scales become floats. Eight outputs of four rows then
// fill the registers: 8 sums, 8 totals, and what they are made of.
#pragma once

#include "kernels/neon_dotprod/codes.h"
#include "kernels/neon_dotprod/group_sum.h"
#include "kernels/table.h"

namespace pocketr1::neon_dotprod {
namespace {

constexpr std::size_t kPanelInputs = 512;
constexpr std::size_t kPanelBatch = 64;
constexpr std::size_t kTileInputs = 4;  // of an unpacked tile

struct Panel {
  alignas(64) std::int8_t codes[kPanelInputs * kTileRows];  // (inputs / 4, 16 rows, 4)
  alignas(64) float scales[kPanelInputs / 32 * kTileRows];  // (groups, 16 rows)
};

// Outputs [8 * half, 8 * half + 8) of a block for `batch` rows of activations: adds the groups of
// `inputs` inputs to totals (batch, 16).
template <std::size_t group, std::size_t batch>
[[gnu::noinline]] void add_panel(const std::int8_t* codes, const float* scales, std::size_t inputs,
                                 std::size_t half, const std::int8_t* a, std::size_t a_stride,
                                 const float* a_scales, float* totals) {
  codes += half * 32;
  scales += half * 8;
  totals += half * 8;
  const std::size_t scale_stride = a_stride / kActivationGroup;
  float32x4_t total[batch][2];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
    total[i][0] = vld1q_f32(totals + i * kTileRows);
    total[i][1] = vld1q_f32(totals + i * kTileRows + 4);
  }
  for (std::size_t first = 0; first < inputs; first += group) {
    int32x4_t sum[batch][2];
    const std::int32_t (*origins)[4] = sum_origins();
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i) {
      sum[i][0] = vld1q_s32(origins[2 * i]);
      sum[i][1] = vld1q_s32(origins[2 * i + 1]);
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < group; k += 16) {
      keep_order(sum);
      int8x16_t inputs16[batch];
      for (std::size_t i = 0; i < batch; ++i) inputs16[i] = vld1q_s8(a + i * a_stride + k);
      const std::int8_t* tile = codes + k * kTileRows;
#pragma GCC unroll 4
      for (std::size_t q = 0; q < 2; ++q) {
        const int8x16_t w0 = vld1q_s8(tile + 16 * q);
        const int8x16_t w1 = vld1q_s8(tile + 16 * q + kTileBytes);
        const int8x16_t w2 = vld1q_s8(tile + 16 * q + 2 * kTileBytes);
        const int8x16_t w3 = vld1q_s8(tile + 16 * q + 3 * kTileBytes);
        for (std::size_t i = 0; i < batch; ++i)
          sum[i][q] = vdotq_laneq_s32(sum[i][q], w0, inputs16[i], 0);
        for (std::size_t i = 0; i < batch; ++i)
          sum[i][q] = vdotq_laneq_s32(sum[i][q], w1, inputs16[i], 1);
        for (std::size_t i = 0; i < batch; ++i)
          sum[i][q] = vdotq_laneq_s32(sum[i][q], w2, inputs16[i], 2);
        for (std::size_t i = 0; i < batch; ++i)
          sum[i][q] = vdotq_laneq_s32(sum[i][q], w3, inputs16[i], 3);
      }
    }
    const float* a_scale = a_scales + first / kActivationGroup;
#pragma GCC unroll 4
    for (std::size_t q = 0; q < 2; ++q) {
      const float32x4_t scale = vld1q_f32(scales + 4 * q);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < batch; ++i) {
        total[i][q] =
            add_group(total[i][q], sum[i][q], vmulq_n_f32(scale, a_scale[i * scale_stride]));
      }
    }
    codes += group * kTileRows;
    scales += kTileRows;
    a += group;
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
    vst1q_f32(totals + i * kTileRows, total[i][0]);
    vst1q_f32(totals + i * kTileRows + 4, total[i][1]);
  }
}

// The unsigned codes of a block, unpacked panel by panel.
template <typename Codes, std::size_t group, bool zero_points>
struct UnsignedWeights {
  static constexpr std::size_t kAhead = 2048;  // bytes of codes to prefetch
  const std::uint8_t* bytes;
  const std::uint8_t* zeros;
  UnsignedWeights(const LinearArgs& p, std::size_t block)
      : bytes(p.codes + block * (p.cols / Codes::kUnitInputs) * Codes::kUnitBytes),
        zeros(zero_points ? p.zeros + block * (p.cols / group) * kTileRows : nullptr) {}

  const std::int8_t* codes(std::size_t first, std::size_t inputs, Panel& panel) const {
    constexpr std::size_t fours = Codes::kUnitInputs / kTileInputs;
    const std::uint8_t* unit = bytes + first / Codes::kUnitInputs * Codes::kUnitBytes;
    std::int8_t* out = panel.codes;
    for (std::size_t g = first / group; g < (first + inputs) / group; ++g) {
      uint8x16_t zero[4];
      repeat_zeros<Codes, zero_points>(zero_points ? zeros + g * kTileRows : nullptr, zero);
      for (std::size_t k = 0; k < group; k += Codes::kUnitInputs) {
        for (std::size_t line = 0; line < Codes::kUnitBytes; line += kTileBytes) {
          __builtin_prefetch(unit + kAhead + line);
        }
        for (std::size_t q = 0; q < 4; ++q) {
          uint8x16_t four[fours];
          Codes::unpack(unit + 16 * q, four);
#pragma GCC unroll 8
          for (std::size_t i = 0; i < fours; ++i) {
            vst1q_s8(out + i * kTileBytes + 16 * q,
                     vreinterpretq_s8_u8(vsubq_u8(four[i], zero[q])));
          }
        }
        unit += Codes::kUnitBytes;
        out += fours * kTileBytes;
      }
    }
    return panel.codes;
  }
};

// Weights has
//   Weights(const LinearArgs&, block)
//   const std::int8_t* codes(first, inputs, Panel&): of the inputs [first, first + inputs)
// and the panel's scales are filled here.
template <std::size_t group, typename Weights>
void gemm(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  Panel panel;
  alignas(64) float totals[kPanelBatch * kTileRows];
  const std::size_t a_scale_stride = p.a.stride / kActivationGroup;
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const Weights weights(p, block);
    const std::uint16_t* scales = p.scales + block * (p.cols / group) * kTileRows;
    const std::size_t row = block * kTileRows;
    const std::size_t rows = p.rows - row < kTileRows ? p.rows - row : kTileRows;
    for (std::size_t b = 0; b < p.batch; b += kPanelBatch) {
      const std::size_t batch = p.batch - b < kPanelBatch ? p.batch - b : kPanelBatch;
      for (std::size_t i = 0; i < batch * kTileRows; ++i) totals[i] = 0.0f;
      for (std::size_t first = 0; first < p.cols; first += kPanelInputs) {
        const std::size_t inputs = p.cols - first < kPanelInputs ? p.cols - first : kPanelInputs;
        const std::int8_t* codes = weights.codes(first, inputs, panel);
        for (std::size_t i = 0; i < inputs / group * kTileRows; i += 4) {
          vst1q_f32(panel.scales + i, widen_f16(scales + first / group * kTileRows + i));
        }
        for (std::size_t i = 0; i < batch; i += 4) {
          const std::int8_t* a = p.a.codes + (b + i) * p.a.stride + first;
          const float* a_scales = p.a.scales + (b + i) * a_scale_stride + first / kActivationGroup;
          for (std::size_t half = 0; half < 2; ++half) {
            const auto add = batch - i == 1   ? add_panel<group, 1>
                             : batch - i == 2 ? add_panel<group, 2>
                             : batch - i == 3 ? add_panel<group, 3>
                                              : add_panel<group, 4>;
            add(codes, panel.scales, inputs, half, a, p.a.stride, a_scales, totals + i * kTileRows);
          }
        }
      }
      for (std::size_t i = 0; i < batch; ++i) {
        for (std::size_t r = 0; r < rows; ++r) {
          p.y[(b + i) * p.y_stride + row + r] = totals[i * kTileRows + r];
        }
      }
    }
  }
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
