#include "quantize/feedback_block.h"

namespace pocketr1 {
namespace {
constexpr std::size_t kLanes = 4;
// clang-format off
#include "quantize/lanes.inl"
#include "quantize/feedback_block.inl"
// clang-format on
}  // namespace

void feedback_block_scalar(const FeedbackBlockJob& job) { feedback_block(job); }

}  // namespace pocketr1
