#include "quantize/quantize_block.h"

namespace pocketr1 {
namespace {
constexpr std::size_t kLanes = 4;
// clang-format off
#include "quantize/lanes.inl"
#include "quantize/quantize_block.inl"
// clang-format on
}  // namespace

void quantize_block_scalar(const QuantizeBlockJob& job, QuantizeBlockResult& result) {
  quantize_block(job, result);
}

}  // namespace pocketr1
