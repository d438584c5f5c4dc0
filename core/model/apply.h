// Linear layers at work, whether their weights lie in memory or come by.
#pragma once

#include <span>

#include "model/weights.h"
#include "ops/gated_linear.h"

namespace pocketr1 {

// The outputs of layers that share an input; y: (batch, rows) each.
struct LayerOutput {
  const LinearLayer* layer;
  float* y;
};
void apply(const Context& context, std::span<const LayerOutput> outputs, LinearInput& input,
           LinearLayer::Workspace& workspace);

// SiLU(gate x) * (up x), as gated_linear() has it, without low-rank addends.
void apply_gated(const Context& context, const LinearLayer& gate, const LinearLayer& up,
                 LinearInput& input, const GatedOutput& output, AlignedBuffer<float>& workspace);

}  // namespace pocketr1
