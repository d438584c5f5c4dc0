#include "quantize/feedback_block.h"

namespace pocketr1 {
namespace {
constexpr std::size_t kLanes = 16;
// clang-format off
#include "quantize/lanes.inl"
#include "quantize/feedback_block.inl"
// clang-format on
}  // namespace

void feedback_block_avx512_vnni(const FeedbackBlockJob& job) { feedback_block(job); }

}  // namespace pocketr1
