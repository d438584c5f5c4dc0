#include "ops/linear.h"

#include <algorithm>
#include <cstring>

#include "base/half.h"
#include "formats/tile_codes.h"

namespace pocketr1 {
namespace {

struct PartArrays {
  const std::uint8_t* codes;
  const std::uint16_t* scales;
  const std::uint8_t* zeros;
  std::size_t padded_cols;
  const float* row_scales;
};

PartArrays arrays(const MatrixPart& part) {
  const WeightFormatTraits& t = traits(part.format);
  if (t.group_size == 0) return {part.bytes, nullptr, nullptr, part.cols, nullptr};
  const PackedSize size = packed_size(part.format, part.rows, part.cols);
  const std::uint8_t* scales = part.bytes + size.codes;
  const std::size_t padded_cols = (part.cols + t.group_size - 1) / t.group_size * t.group_size;
  if (t.float8()) {
    return {part.bytes, nullptr, nullptr, padded_cols, reinterpret_cast<const float*>(scales)};
  }
  return {part.bytes, reinterpret_cast<const std::uint16_t*>(scales),
          t.zero_points ? scales + size.scales : nullptr, padded_cols, nullptr};
}

// The blocks [begin, end) of a part, as a matrix of their own.
LinearArgs block_args(const MatrixPart& part, std::size_t begin, std::size_t end) {
  const WeightFormatTraits& t = traits(part.format);
  const PartArrays all = arrays(part);
  LinearArgs args{};
  args.rows = std::min(part.rows, end * kTileRows) - begin * kTileRows;
  args.cols = all.padded_cols;
  if (!t.tiled()) {
    args.codes = all.codes + begin * kTileRows * all.padded_cols * (t.bits / 8);
    args.cols = part.cols;
    if (t.float8()) {
      args.row_scales = all.row_scales + begin * kTileRows * (all.padded_cols / t.group_size);
    }
    return args;
  }
  const std::size_t groups = all.padded_cols / t.group_size;
  args.codes = all.codes + begin * t.block_bytes(all.padded_cols);
  args.scales = all.scales + begin * groups * kTileRows;
  if (t.zero_points) args.zeros = all.zeros + begin * groups * kTileRows;
  return args;
}

}  // namespace

std::size_t Matrix::rows() const {
  std::size_t sum = 0;
  for (const MatrixPart& part : parts) sum += part.rows;
  return sum;
}

const QuantizedActivations& LinearInput::fill() {
  const std::size_t stride = (cols_ + kActivationGroup - 1) / kActivationGroup * kActivationGroup;
  workspace_.codes.reserve(batch_ * stride);
  workspace_.scales.reserve(batch_ * (stride / kActivationGroup));
  workspace_.sums.reserve(batch_ * (stride / kActivationSum));
  quantized_ = {workspace_.codes.data(), workspace_.scales.data(), workspace_.sums.data(), stride};
  done_ = true;
  return quantized_;
}

void LinearInput::quantize_row(const Context& context, std::size_t row) const {
  const std::size_t stride = quantized_.stride;
  context.kernels.quantize_a8(x_ + row * cols_, cols_, stride, quantized_.codes + row * stride,
                              quantized_.scales + row * (stride / kActivationGroup),
                              quantized_.sums + row * (stride / kActivationSum));
}

const QuantizedActivations& LinearInput::quantized(const Context& context) {
  if (done_) return quantized_;
  fill();
  context.pool.run(batch_, [&](std::size_t row, unsigned) { quantize_row(context, row); });
  return quantized_;
}

void trace_linear(const Context& context, const Matrix& matrix, std::size_t batch) {
  context.trace.add(linear_kernel(context.kernels, matrix.format(), batch).name);
}

void linear_blocks(const Context& context, const Matrix& matrix, LinearInput& input,
                   std::size_t begin, std::size_t end, float* y, std::size_t y_stride) {
  const LinearKernel& kernel = linear_kernel(context.kernels, matrix.format(), input.batch());
  const bool tiled = traits(matrix.format()).tiled();
  std::size_t first = 0;  // block of the part
  for (const MatrixPart& part : matrix.parts) {
    const std::size_t blocks = block_count(part.rows);
    const std::size_t from = std::max(begin, first);
    const std::size_t to = std::min(end, first + blocks);
    if (from < to) {
      LinearArgs args = block_args(part, from - first, to - first);
      args.x = input.x();
      args.x_stride = input.cols();
      if (tiled) args.a = input.quantized(context);
      args.batch = input.batch();
      args.y = y + (from - begin) * kTileRows;
      args.y_stride = y_stride;
      kernel.function(args, 0, to - from);
    }
    first += blocks;
  }
  if (matrix.bias == nullptr) return;
  const std::size_t count = std::min(matrix.rows(), end * kTileRows) - begin * kTileRows;
  const float* bias = matrix.bias + begin * kTileRows;
  for (std::size_t b = 0; b < input.batch(); ++b) {
    for (std::size_t r = 0; r < count; ++r) y[b * y_stride + r] += bias[r];
  }
}

void linear(const Context& context, std::span<const LinearOutput> outputs, LinearInput& input) {
  std::size_t blocks = 0;
  for (const LinearOutput& output : outputs) {
    blocks += block_count(output.matrix->rows());
    if (traits(output.matrix->format()).tiled()) input.quantized(context);
    trace_linear(context, *output.matrix, input.batch());
  }
  const std::size_t chunk = (turn_size(context, blocks) + 1) / 2 * 2;  // a gemm takes pairs
  const auto chunks = [&](const LinearOutput& output) {
    return (block_count(output.matrix->rows()) + chunk - 1) / chunk;
  };
  std::size_t count = 0;
  for (const LinearOutput& output : outputs) count += chunks(output);
  context.pool.run(count, [&](std::size_t turn, unsigned) {
    const LinearOutput* output = outputs.data();
    for (; turn >= chunks(*output); ++output) turn -= chunks(*output);
    const std::size_t begin = turn * chunk;
    linear_blocks(context, *output->matrix, input, begin,
                  std::min(block_count(output->matrix->rows()), begin + chunk),
                  output->y + begin * kTileRows, output->y_stride);
  });
}

void read_row(const MatrixPart& part, std::size_t row, float* out) {
  const WeightFormatTraits& t = traits(part.format);
  const PartArrays a = arrays(part);
  if (t.float8()) {
    const std::uint8_t* codes = a.codes + row * a.padded_cols;
    const float* scales = a.row_scales + row * (a.padded_cols / t.group_size);
    for (std::size_t k = 0; k < part.cols; ++k) {
      out[k] = e4m3_to_f32(codes[k]) * scales[k / t.group_size];
    }
    return;
  }
  if (!t.tiled()) {
    const std::uint8_t* from = a.codes + row * part.cols * (t.bits / 8);
    if (part.format == WeightFormat::f32) {
      std::memcpy(out, from, part.cols * 4);
      return;
    }
    for (std::size_t k = 0; k < part.cols; ++k) {
      std::uint16_t half;
      std::memcpy(&half, from + 2 * k, 2);
      out[k] = part.format == WeightFormat::bf16 ? bf16_to_f32(half) : f16_to_f32(half);
    }
    return;
  }
  const std::size_t groups = a.padded_cols / t.group_size;
  const std::size_t block = row / kTileRows;
  const std::size_t r = row % kTileRows;
  const std::uint8_t* codes = a.codes + block * t.block_bytes(a.padded_cols);
  for (std::size_t k = 0; k < part.cols; ++k) {
    const std::size_t at = (block * groups + k / t.group_size) * kTileRows + r;
    const std::uint8_t byte = read_code(codes, t.bits, r, k);
    const int zero = t.zero_points ? a.zeros[at] : static_cast<int>(t.centre());
    const int code = t.bits == 8 ? static_cast<std::int8_t>(byte) : byte - zero;
    std::uint16_t scale;
    std::memcpy(&scale, a.scales + at, 2);
    out[k] = static_cast<float>(code) * f16_to_f32(scale);
  }
}

}  // namespace pocketr1
