// The first half of a feed-forward block: silu(gate x) * (up x).
#pragma once

#include <cstddef>

#include "base/aligned_buffer.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace pocketr1 {

// Where the product goes: floats (batch, rows), or codes for the matrix that reads them, or both.
struct GatedOutput {
  float* floats;       // or nullptr
  LinearInput* codes;  // or nullptr
  // Where gate and up are only some rows of the whole: the first of them, a multiple of 128, and
  // how many the whole has; 0: they are all.
  std::size_t first = 0;
  std::size_t rows = 0;
};

// Gate and up have the same rows. They are multiplied 128 outputs at a time, a group of
// activations, so that nothing between input and product leaves the cache.
void gated_linear(const Context& context, const Matrix& gate, const Matrix& up, LinearInput& input,
                  const GatedOutput& output, AlignedBuffer<float>& workspace);

}  // namespace pocketr1
