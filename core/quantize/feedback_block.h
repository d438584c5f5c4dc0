// One block of rounding with error feedback: 16 rows of a matrix. One generic body
// (feedback_block.inl) is compiled once per instruction set and gives the same codes on each.
// This header is seen by files built with target flags: nothing here may instantiate a template.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1 {

// Places are the inputs in the order of the factor; the last place is rounded first.
struct FeedbackBlockJob {
  const float* weights;  // (cols, 16): by place, a lane of zeros for a row that is not there
  std::size_t cols;
  const float* factor;            // (cols, cols): what a place gets of the errors of later ones
  const std::uint32_t* group_of;  // (cols): by place
  const float* scales;            // (groups, 16)
  const float* centres;           // (groups, 16): the code that stands for zero
  float low;                      // the range of codes
  float high;
  float* errors;        // (cols, 16): by place, weight - stored weight
  std::uint8_t* codes;  // (cols, 16): by place
};

using FeedbackBlock = void (*)(const FeedbackBlockJob& job);

void feedback_block_scalar(const FeedbackBlockJob& job);
void feedback_block_avx2(const FeedbackBlockJob& job);
void feedback_block_avx512_vnni(const FeedbackBlockJob& job);

}  // namespace pocketr1
