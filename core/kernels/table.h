// The kernels of one instruction set, chosen once at load.
//
// Kernels hold no memory, no threads and no state. Every instruction set gives the same bits:
//   - integer products of a group accumulate exactly; groups add up in ascending order by FMA;
//   - a float dot product has 16 lanes, lane l summing elements l, l + 16, … by FMA in ascending
//     order, and one reduction tree: l + (l + 8), then 4, 2, 1;
//   - exp is ours, from single operations; nothing is contracted or reordered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kv_format.h"
#include "formats/tile.h"

namespace pocketr1 {

constexpr std::size_t kActivationGroup = 128;  // inputs that share an activation scale
constexpr std::size_t kActivationSum = 32;     // inputs of one code sum

// Rows of activations as int8: value = code * scale of its group of 128.
struct QuantizedActivations {
  std::int8_t* codes;  // (rows, stride), stride a multiple of 128, zero beyond the inputs
  float* scales;       // (rows, stride / 128)
  std::int32_t* sums;  // (rows, stride / 32): sums of codes
  std::size_t stride;
};

// y[b * y_stride + r] = sum over k of weight[r][k] * x[b][k].
struct LinearArgs {
  const std::uint8_t* codes;    // see weight_format.h; row-major: the elements
  const std::uint16_t* scales;  // f16 (blocks, groups, 16)
  const std::uint8_t* zeros;    // (blocks, groups, 16)
  std::size_t rows;             // outputs
  std::size_t cols;             // inputs, padded to the group in tile formats
  const float* x;               // row-major formats: (batch, x_stride)
  std::size_t x_stride;
  QuantizedActivations a;  // tile formats
  std::size_t batch;
  float* y;
  std::size_t y_stride;
  const float* row_scales = nullptr;  // f8e4m3: (rows, groups of 128)
};

// Computes the outputs of the 16-row blocks [block_begin, block_end).
using LinearFunction = void (*)(const LinearArgs&, std::size_t block_begin, std::size_t block_end);

struct LinearKernel {
  const char* name;  // "gemv_w4g64_a8_avx2"
  LinearFunction function;
};

constexpr std::size_t kGemvRows = 4;  // the largest batch a gemv takes
constexpr std::size_t kWeightFormats = 25;

// The query heads of one row that share a K/V head, against tokens [begin, end) of its sequence.
struct AttentionArgs {
  const float* q;  // (heads, padded_head_dim), zero behind head_dim
  std::size_t heads;
  std::size_t head_dim;
  const std::uint8_t* const* pages;  // of the sequence
  std::size_t k_offset;              // bytes from the start of a page to this head's K block
  std::size_t v_offset;
  std::size_t begin;  // a multiple of 64
  std::size_t end;
  float scale;  // of q . k
  float* max;   // (heads): largest score of the range
  float* sum;   // (heads): sum of exp(score - max)
  float* out;   // (heads, padded_head_dim): sum of exp(score - max) * v
};

struct KernelTable {
  const char* isa;

  // y = x / sqrt(mean(x^2) + eps) * gain
  void (*rms_norm)(const float* x, const float* gain, float eps, std::size_t n, float* y);
  // y = gate / (1 + exp(-gate)) * up
  void (*silu_mul)(const float* gate, const float* up, std::size_t n, float* y);
  // y[i] = exp((x[i] - max) * factor); returns their sum (16 lanes, one tree)
  float (*exp_sum)(const float* x, std::size_t n, float max, float factor, float* y);
  // One row: codes for `stride` inputs, zero beyond n.
  void (*quantize_a8)(const float* x, std::size_t n, std::size_t stride, std::int8_t* codes,
                      float* scales, std::int32_t* sums);
  // Writes one head's key or value of one token into its block of a page.
  void (*store_key[kKvFormats])(const float* x, std::size_t head_dim, std::size_t token,
                                std::uint8_t* block);
  void (*store_value[kKvFormats])(const float* x, std::size_t head_dim, std::size_t token,
                                  std::uint8_t* block);
  void (*attention[kKvFormats])(const AttentionArgs&);

  LinearKernel gemv[kWeightFormats];  // 1..4 rows of activations
  LinearKernel gemm[kWeightFormats];  // any number
};

// The kernel a linear layer of that format runs for that many rows of activations.
const LinearKernel& linear_kernel(const KernelTable& table, WeightFormat format, std::size_t batch);

// The table named by `isa`, by the environment variable POCKETR1_ISA when `isa` is empty, or the
// best. Throws Error("isa-unsupported") for a name this build or this CPU lacks.
const KernelTable& select_kernels(const char* isa);

}  // namespace pocketr1
