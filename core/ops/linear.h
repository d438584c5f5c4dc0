// Linear layers: y = W x, whatever W's format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "formats/weight_format.h"
#include "ops/context.h"

namespace pocketr1 {

// The rows of a weight that lie together in memory.
struct MatrixPart {
  WeightFormat format;
  const std::uint8_t* bytes;  // codes, scales, zeros as weight_format.h lays them out
  std::size_t rows;
  std::size_t cols;  // inputs, before padding
};

// Activations as linear layers take them: floats for row-major weights, int8 for tiles. Quantized
// at most once however many layers read them.
class LinearInput {
 public:
  // x: (batch, cols), kept by reference. The workspace belongs to the caller and is reused.
  struct Workspace {
    AlignedBuffer<std::int8_t> codes;
    AlignedBuffer<float> scales;
    AlignedBuffer<std::int32_t> sums;
  };
  LinearInput(const float* x, std::size_t batch, std::size_t cols, Workspace& workspace)
      : x_(x), batch_(batch), cols_(cols), workspace_(workspace) {}

  const float* x() const { return x_; }
  std::size_t batch() const { return batch_; }
  std::size_t cols() const { return cols_; }
  const QuantizedActivations& quantized(const Context& context);

 private:
  const float* x_;
  std::size_t batch_;
  std::size_t cols_;
  Workspace& workspace_;
  bool done_ = false;
  QuantizedActivations quantized_{};
};

// y[b * y_stride + r] = part[r] . x[b] for all rows of the part.
void linear(const Context& context, const MatrixPart& part, LinearInput& input, float* y,
            std::size_t y_stride);

// One row of a matrix as floats: an embedding.
void read_row(const MatrixPart& part, std::size_t row, float* out);

}  // namespace pocketr1
