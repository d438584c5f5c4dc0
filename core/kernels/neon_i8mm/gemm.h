// Many rows of activations by smmla, which multiplies 2 rows x 8 inputs of each operand.
//
// For up to 512 inputs, up to 64 rows of activations are laid out in pairs once for all blocks, and
// a block's codes once for all these rows: fewer bits become 8, less their zero point, two rows of
// weights side by side, and scales become floats. Eight outputs of four rows then fill the
// registers: 8 sums, 8 totals, and what they are made of. A sum or a total holds
// [a0 w0, a0 w1, a1 w0, a1 w1].
#pragma once

#include "kernels/neon_dotprod/codes.h"
#include "kernels/neon_dotprod/group_sum.h"
#include "kernels/table.h"

namespace pocketr1::neon_i8mm {
namespace {

using neon_dotprod::add_group;
using neon_dotprod::keep_order;
using neon_dotprod::sum_origins;
using neon_dotprod::widen_f16;

constexpr std::size_t kPanelInputs = 512;
constexpr std::size_t kPanelBatch = 64;
constexpr std::size_t kStep = 8;    // inputs of one smmla
constexpr std::size_t kFour = 4;    // rows of activations that share the registers
constexpr std::size_t kHalves = 2;  // of a block

struct WeightPanel {
  alignas(64) std::int8_t codes[kHalves][kPanelInputs / kStep][4][16];  // 4 pairs of rows
  alignas(64) float scales[kPanelInputs / 32][kHalves][4][4];           // [s0, s1, s0, s1]
};

struct ActivationPanel {
  alignas(64) std::int8_t codes[kPanelBatch / kFour][kPanelInputs / kStep][2][16];  // 2 pairs
  alignas(64) float scales[kPanelBatch / kFour][kPanelInputs / kActivationGroup][2][4];
};

inline float32x4_t pair_low(float32x4_t a, float32x4_t b) {
  return vcombine_f32(vget_low_f32(a), vget_low_f32(b));
}
inline float32x4_t pair_high(float32x4_t a, float32x4_t b) {
  return vcombine_f32(vget_high_f32(a), vget_high_f32(b));
}

// Four rows of activations from row `b` on, inputs [first, first + inputs). Rows beyond `rows` are
// the last one again; nobody reads what becomes of them.
inline void fill_activations(const QuantizedActivations& a, std::size_t b, std::size_t rows,
                             std::size_t first, std::size_t inputs, std::int8_t (*codes)[2][16],
                             float (*scales)[2][4]) {
  for (std::size_t pair = 0; pair < 2; ++pair) {
    const std::size_t even = b + (2 * pair < rows ? 2 * pair : rows - 1);
    const std::size_t odd = b + (2 * pair + 1 < rows ? 2 * pair + 1 : rows - 1);
    const std::int8_t* a0 = a.codes + even * a.stride + first;
    const std::int8_t* a1 = a.codes + odd * a.stride + first;
    for (std::size_t k = 0; k < inputs; k += 16) {
      const int64x2_t x0 = vreinterpretq_s64_s8(vld1q_s8(a0 + k));
      const int64x2_t x1 = vreinterpretq_s64_s8(vld1q_s8(a1 + k));
      vst1q_s8(codes[k / kStep][pair], vreinterpretq_s8_s64(vzip1q_s64(x0, x1)));
      vst1q_s8(codes[k / kStep + 1][pair], vreinterpretq_s8_s64(vzip2q_s64(x0, x1)));
    }
    const std::size_t stride = a.stride / kActivationGroup;
    for (std::size_t g = 0; g * kActivationGroup < inputs; ++g) {
      const std::size_t at = first / kActivationGroup + g;
      vst1q_f32(scales[g][pair], vcombine_f32(vdup_n_f32(a.scales[even * stride + at]),
                                              vdup_n_f32(a.scales[odd * stride + at])));
    }
  }
}

// Scales of the groups [first, first + groups) of a block.
inline void fill_scales(const std::uint16_t* from, std::size_t groups, WeightPanel& panel) {
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t q = 0; q < 4; ++q) {
      const float32x4_t four = widen_f16(from + g * kTileRows + 4 * q);
      vst1q_f32(panel.scales[g][q / 2][q % 2 * 2], pair_low(four, four));
      vst1q_f32(panel.scales[g][q / 2][q % 2 * 2 + 1], pair_high(four, four));
    }
  }
}

// The 4 rows `q` of a block for 8 inputs, inputs 0..3 in `low` and 4..7 in `high`, as two pairs.
inline void store_codes(WeightPanel& panel, std::size_t step, std::size_t q, int8x16_t low,
                        int8x16_t high) {
  const int32x4_t first = vreinterpretq_s32_s8(low);
  const int32x4_t last = vreinterpretq_s32_s8(high);
  std::int8_t (*to)[16] = panel.codes[q / 2][step] + q % 2 * 2;
  vst1q_s8(to[0], vreinterpretq_s8_s32(vzip1q_s32(first, last)));
  vst1q_s8(to[1], vreinterpretq_s8_s32(vzip2q_s32(first, last)));
}

// A block's unsigned codes for inputs [first, first + inputs).
template <typename Codes, std::size_t group, bool zero_points>
void fill_codes(const LinearArgs& p, std::size_t block, std::size_t first, std::size_t inputs,
                WeightPanel& panel) {
  const std::size_t block_bytes = p.cols / Codes::kUnitInputs * Codes::kUnitBytes;
  const std::uint8_t* unit =
      p.codes + block * block_bytes + first / Codes::kUnitInputs * Codes::kUnitBytes;
  const std::size_t first_group = block * (p.cols / group) + first / group;
  for (std::size_t k = 0; k < inputs; k += group) {
    uint8x16_t zero[4];
    neon_dotprod::repeat_zeros<Codes, zero_points>(
        zero_points ? p.zeros + (first_group + k / group) * kTileRows : nullptr, zero);
    for (std::size_t step = k / kStep; step < (k + group) / kStep;
         step += Codes::kUnitInputs / kStep) {
      for (std::size_t line = 0; line < Codes::kUnitBytes; line += kTileBytes) {
        __builtin_prefetch(unit + block_bytes + line);  // unpacked next
      }
      for (std::size_t q = 0; q < 4; ++q) {
        uint8x16_t fours[Codes::kUnitInputs / 4];
        Codes::unpack(unit + 16 * q, fours);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < Codes::kUnitInputs / kStep; ++i) {
          store_codes(panel, step + i, q, vreinterpretq_s8_u8(vsubq_u8(fours[2 * i], zero[q])),
                      vreinterpretq_s8_u8(vsubq_u8(fours[2 * i + 1], zero[q])));
        }
      }
      unit += Codes::kUnitBytes;
    }
  }
}

// Adds the groups of `inputs` inputs to 8 outputs of each of `pairs` pairs of rows, at y[row].
template <std::size_t group, std::size_t pairs>
[[gnu::noinline]] void add_panel(const WeightPanel& panel, std::size_t half, std::size_t inputs,
                                 const std::int8_t (*a)[2][16], const float (*a_scales)[2][4],
                                 float* const* y) {
  const std::int8_t (*w)[4][16] = panel.codes[half];
  float32x4_t total[4][pairs];  // pairs of outputs, pairs of rows
#pragma GCC unroll 4
  for (std::size_t q = 0; q < 2; ++q) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < pairs; ++j) {
      const float32x4_t y0 = vld1q_f32(y[2 * j] + 4 * q);
      const float32x4_t y1 = vld1q_f32(y[2 * j + 1] + 4 * q);
      total[2 * q][j] = pair_low(y0, y1);
      total[2 * q + 1][j] = pair_high(y0, y1);
    }
  }
  for (std::size_t first = 0; first < inputs; first += group) {
    int32x4_t sum[4][pairs];
    const std::int32_t (*origins)[4] = sum_origins();
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
#pragma GCC unroll 4
      for (std::size_t j = 0; j < pairs; ++j) sum[i][j] = vld1q_s32(origins[2 * i + j]);
    }
#pragma GCC unroll 16
    for (std::size_t k = 0; k < group; k += kStep) {
      keep_order(sum);
      int8x16_t rows[pairs];
      for (std::size_t j = 0; j < pairs; ++j) rows[j] = vld1q_s8((*a)[j]);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) {
        const int8x16_t codes = vld1q_s8((*w)[i]);
#pragma GCC unroll 4
        for (std::size_t j = 0; j < pairs; ++j) sum[i][j] = vmmlaq_s32(sum[i][j], rows[j], codes);
      }
      ++a;
      ++w;
    }
    const float (*a_scale)[4] = a_scales[first / kActivationGroup];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const float32x4_t scale = vld1q_f32(panel.scales[first / group][half][i]);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < pairs; ++j) {
        total[i][j] = add_group(total[i][j], sum[i][j], vmulq_f32(scale, vld1q_f32(a_scale[j])));
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t q = 0; q < 2; ++q) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < pairs; ++j) {
      vst1q_f32(y[2 * j] + 4 * q, pair_low(total[2 * q][j], total[2 * q + 1][j]));
      vst1q_f32(y[2 * j + 1] + 4 * q, pair_high(total[2 * q][j], total[2 * q + 1][j]));
    }
  }
}

// fill_codes(p, block, first, inputs, panel) unpacks a block's codes for inputs [first, first +
// inputs). Totals of whole blocks grow in y itself, those of a last block with fewer rows aside.
template <std::size_t group, void (*fill_codes)(const LinearArgs&, std::size_t, std::size_t,
                                                std::size_t, WeightPanel&)>
void gemm(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  ActivationPanel activations;
  WeightPanel weights;
  alignas(64) float aside[kPanelBatch][kTileRows];
  float unread[kTileRows] = {};
  for (std::size_t b = 0; b < p.batch; b += kPanelBatch) {
    const std::size_t batch = p.batch - b < kPanelBatch ? p.batch - b : kPanelBatch;
    for (std::size_t first = 0; first < p.cols; first += kPanelInputs) {
      const std::size_t inputs = p.cols - first < kPanelInputs ? p.cols - first : kPanelInputs;
      for (std::size_t i = 0; i < batch; i += kFour) {
        fill_activations(p.a, b + i, batch - i < kFour ? batch - i : kFour, first, inputs,
                         activations.codes[i / kFour], activations.scales[i / kFour]);
      }
      for (std::size_t block = block_begin; block < block_end; ++block) {
        const std::size_t row = block * kTileRows;
        const bool whole = row + kTileRows <= p.rows;
        float* y = whole ? p.y + b * p.y_stride + row : aside[0];
        const std::size_t y_stride = whole ? p.y_stride : kTileRows;
        if (first == 0) {
          for (std::size_t i = 0; i < batch; ++i) {
            for (std::size_t r = 0; r < kTileRows; ++r) y[i * y_stride + r] = 0.0f;
          }
        }
        fill_codes(p, block, first, inputs, weights);
        fill_scales(p.scales + (block * (p.cols / group) + first / group) * kTileRows,
                    inputs / group, weights);
        for (std::size_t i = 0; i < batch; i += kFour) {
          for (std::size_t half = 0; half < kHalves; ++half) {
            float* outputs[kFour];
            for (std::size_t j = 0; j < kFour; ++j) {
              outputs[j] = i + j < batch ? y + (i + j) * y_stride + half * 8 : unread;
            }
            const auto add = batch - i > 2 ? add_panel<group, 2> : add_panel<group, 1>;
            add(weights, half, inputs, activations.codes[i / kFour], activations.scales[i / kFour],
                outputs);
          }
        }
        if (whole || first + inputs < p.cols) continue;
        for (std::size_t i = 0; i < batch; ++i) {
          for (std::size_t r = 0; row + r < p.rows; ++r) {
            p.y[(b + i) * p.y_stride + row + r] = aside[i][r];
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace pocketr1::neon_i8mm
