#include "quantize/quantize_block.h"

namespace pocketr1 {
namespace {
constexpr std::size_t kLanes = 16;
#include "quantize/quantize_block.inl"
}  // namespace

void quantize_block_avx512_vnni(const QuantizeBlockJob& job, QuantizeBlockResult& result) {
  quantize_block(job, result);
}

}  // namespace pocketr1
