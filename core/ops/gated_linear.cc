#include "ops/gated_linear.h"

#include <algorithm>

namespace pocketr1 {

void gated_linear(const Context& context, const Matrix& gate, const Matrix& up, LinearInput& input,
                  const GatedOutput& output, AlignedBuffer<float>& workspace) {
  constexpr std::size_t width = kActivationGroup;
  constexpr std::size_t unit_blocks = width / kTileRows;
  const std::size_t batch = input.batch();
  const std::size_t rows = gate.rows();
  const std::size_t stride = output.rows == 0 ? rows : output.rows;
  const std::size_t blocks = block_count(rows);
  const std::size_t units = (blocks + unit_blocks - 1) / unit_blocks;
  for (const Matrix* matrix : {&gate, &up}) {
    if (traits(matrix->format()).tiled()) input.quantized(context);
    trace_linear(context, *matrix, batch);
  }
  const QuantizedActivations* codes = output.codes == nullptr ? nullptr : &output.codes->fill();
  workspace.reserve(context.pool.threads() * 2 * batch * width);

  const std::size_t chunk = turn_size(context, units);
  context.pool.run((units + chunk - 1) / chunk, [&](std::size_t turn, unsigned thread) {
    float* product = workspace.data() + thread * 2 * batch * width;
    float* factor = product + batch * width;
    for (std::size_t unit = turn * chunk; unit < std::min(units, (turn + 1) * chunk); ++unit) {
      const std::size_t begin = unit * unit_blocks;
      const std::size_t end = std::min(blocks, begin + unit_blocks);
      const std::size_t first = unit * width;
      const std::size_t count = std::min(width, rows - first);
      linear_blocks(context, gate, input, begin, end, product, width);
      linear_blocks(context, up, input, begin, end, factor, width);
      for (std::size_t b = 0; b < batch; ++b) {
        float* row = product + b * width;
        context.kernels.silu_mul(row, factor + b * width, count, row);
        if (output.floats != nullptr)
          std::copy_n(row, count, output.floats + b * stride + output.first + first);
        if (codes != nullptr) {
          const std::size_t at = b * codes->stride + output.first + first;
          context.kernels.quantize_a8(row, count, width, codes->codes + at,
                                      codes->scales + at / kActivationGroup,
                                      codes->sums + at / kActivationSum);
        }
      }
    }
  });
}

}  // namespace pocketr1
