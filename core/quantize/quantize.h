// Weights into the formats of formats/weight_format.h: rounding to nearest with a searched scale.
//
// Per row and group the first candidate scale is the least that clips nothing; others around it,
// and one refit to the codes chosen, are tried, and the least squared error wins (a tie goes to the
// earlier). With zero points, each scale is tried with the zero point that centres the values and
// the ones beside it. Errors count the scale as stored, in f16. Bytes and error sums are the same
// on every instruction set and for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/cpu_features.h"
#include "formats/weight_format.h"
#include "quantize/quantize_block.h"

namespace pocketr1 {

struct SourceRows {
  const void* data;  // (rows, cols) elements of `type`, row-major
  SourceType type;
  std::size_t rows;
  std::size_t cols;
  std::string name{};           // names the tensor in errors
  std::uint64_t first_row = 0;  // of the tensor, for errors
};

struct QuantizeError {
  double sum_sq_error = 0.0;  // sum of (w - stored)^2
  double sum_sq = 0.0;        // sum of w^2
  double max_abs = 0.0;       // largest |w - stored|
};

struct QuantizeOptions {
  Isa isa = Isa::scalar;
  unsigned threads = 1;
  // (cols), finite and not negative: what a squared error at each input counts where scales and
  // zero points are chosen; empty: all alike. Error sums count all alike in any case.
  std::span<const float> importance{};
};

// Writes one part, packed_size(format, rows, cols) bytes: tiles, FP8, or for another format the
// elements (f32 from any type; f16 from f32; f16 and bf16 as they are).
// Throws Error "quantize-not-finite", "quantize-too-large" (beyond what the format's f16 scale or
// element can hold), "quantize-unsupported" (no conversion of that kind, or a size that differs),
// or "threads".
QuantizeError quantize_rows(const SourceRows& source, WeightFormat format,
                            const QuantizeOptions& options, std::span<std::uint8_t> part);

}  // namespace pocketr1
