#include "quantize/quantize_block.h"

namespace pocketr1 {
namespace {
constexpr std::size_t kLanes = 4;
#include "quantize/quantize_block.inl"
}  // namespace

void quantize_block_scalar(const QuantizeBlockJob& job, QuantizeBlockResult& result) {
  quantize_block(job, result);
}

}  // namespace pocketr1
