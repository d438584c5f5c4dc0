// Linear layers: y = W x, whatever W's format.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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

// A weight matrix: parts of one format, whose rows follow each other. All but the last have a
// multiple of 16 rows.
struct Matrix {
  std::vector<MatrixPart> parts;
  const float* bias = nullptr;  // (rows), or none

  WeightFormat format() const { return parts[0].format; }
  std::size_t cols() const { return parts[0].cols; }
  std::size_t rows() const;
};

// Activations as linear layers take them: floats for row-major weights, int8 for tiles. Quantized
// at most once however many layers read them.
class LinearInput {
 public:
  // x: (batch, cols), kept by reference; nullptr where only codes will be asked for. The workspace
  // belongs to the caller and is reused.
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

  // For a caller who writes the codes while it writes x: room for them, from then on taken as they
  // are; and the quantizing of one row.
  const QuantizedActivations& fill();
  void quantize_row(const Context& context, std::size_t row) const;

 private:
  const float* x_;
  std::size_t batch_;
  std::size_t cols_;
  Workspace& workspace_;
  bool done_ = false;
  QuantizedActivations quantized_{};
};

// Where a matrix's outputs go: y[b * y_stride + r] = matrix[r] . x[b] + bias[r].
struct LinearOutput {
  const Matrix* matrix;
  float* y;
  std::size_t y_stride;
};

// The outputs of matrices that share an input, all at once, so that their ends are waited for once.
void linear(const Context& context, std::span<const LinearOutput> outputs, LinearInput& input);

// Outputs [16 * begin, 16 * end) of one matrix, by the calling thread: y[b * y_stride] is the
// first. The input is quantized already if the matrix is tiled.
void linear_blocks(const Context& context, const Matrix& matrix, LinearInput& input,
                   std::size_t begin, std::size_t end, float* y, std::size_t y_stride);

// Blocks of 16 outputs.
inline std::size_t block_count(std::size_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// How many of `items` a thread takes at once: about eight turns each, enough for uneven cores, few
// enough not to contend.
inline std::size_t turn_size(const Context& context, std::size_t items) {
  return std::max<std::size_t>(1, items / (std::size_t{8} * context.pool.threads()));
}

// Adds to the trace the kernel that runs for a matrix and this many rows.
void trace_linear(const Context& context, const Matrix& matrix, std::size_t batch);

// One row of a matrix as floats: an embedding.
void read_row(const MatrixPart& part, std::size_t row, float* out);

}  // namespace pocketr1
