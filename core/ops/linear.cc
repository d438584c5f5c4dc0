#include "ops/linear.h"

#include <algorithm>
#include <cstring>

#include "base/half.h"

namespace pocketr1 {
namespace {

struct PartArrays {
  const std::uint8_t* codes;
  const std::uint16_t* scales;
  const std::uint8_t* zeros;
  std::size_t padded_cols;
};

PartArrays arrays(const MatrixPart& part) {
  const WeightFormatTraits& t = traits(part.format);
  if (!t.tiled()) return {part.bytes, nullptr, nullptr, part.cols};
  const PackedSize size = packed_size(part.format, part.rows, part.cols);
  return {part.bytes, reinterpret_cast<const std::uint16_t*>(part.bytes + size.codes),
          t.zero_points ? part.bytes + size.codes + size.scales : nullptr,
          (part.cols + t.group_size - 1) / t.group_size * t.group_size};
}

}  // namespace

const QuantizedActivations& LinearInput::quantized(const Context& context) {
  if (done_) return quantized_;
  const std::size_t stride = (cols_ + kActivationGroup - 1) / kActivationGroup * kActivationGroup;
  workspace_.codes.reserve(batch_ * stride);
  workspace_.scales.reserve(batch_ * (stride / kActivationGroup));
  workspace_.sums.reserve(batch_ * (stride / kActivationSum));
  quantized_ = {workspace_.codes.data(), workspace_.scales.data(), workspace_.sums.data(), stride};
  context.pool.run(batch_, [&](std::size_t b, unsigned) {
    context.kernels.quantize_a8(x_ + b * cols_, cols_, stride, quantized_.codes + b * stride,
                                quantized_.scales + b * (stride / kActivationGroup),
                                quantized_.sums + b * (stride / kActivationSum));
  });
  done_ = true;
  return quantized_;
}

void linear(const Context& context, const MatrixPart& part, LinearInput& input, float* y,
            std::size_t y_stride) {
  const PartArrays a = arrays(part);
  LinearArgs args{a.codes,      a.scales, a.zeros,       part.rows, a.padded_cols, input.x(),
                  input.cols(), {},       input.batch(), y,         y_stride};
  if (traits(part.format).tiled()) args.a = input.quantized(context);
  const LinearKernel& kernel = linear_kernel(context.kernels, part.format, input.batch());
  context.trace.add(kernel.name);

  const std::size_t blocks = (part.rows + kTileRows - 1) / kTileRows;
  // About eight turns a thread: enough for uneven cores, few enough not to contend.
  const std::size_t turns = std::size_t{8} * context.pool.threads();
  const std::size_t chunk = std::max<std::size_t>(1, blocks / turns);
  context.pool.run((blocks + chunk - 1) / chunk, [&](std::size_t turn, unsigned) {
    kernel.function(args, turn * chunk, std::min(blocks, (turn + 1) * chunk));
  });
}

void read_row(const MatrixPart& part, std::size_t row, float* out) {
  const WeightFormatTraits& t = traits(part.format);
  const PartArrays a = arrays(part);
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
  const std::uint8_t* codes = a.codes + block * (a.padded_cols / t.tile_inputs()) * kTileBytes;
  for (std::size_t k = 0; k < part.cols; ++k) {
    const std::size_t at = (block * groups + k / t.group_size) * kTileRows + r;
    const std::uint8_t byte = codes[k / t.tile_inputs() * kTileBytes + r * 4 + k % 4];
    int code;
    if (t.bits == 8) {
      code = static_cast<std::int8_t>(byte);
    } else {
      code = (k % 8 < 4 ? byte & 15 : byte >> 4) - (t.zero_points ? a.zeros[at] : 8);
    }
    std::uint16_t scale;
    std::memcpy(&scale, a.scales + at, 2);
    out[k] = static_cast<float>(code) * f16_to_f32(scale);
  }
}

}  // namespace pocketr1
