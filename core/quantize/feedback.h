// Rounding with error feedback: what rounding one weight did wrong is made up for by those of its
// row that are rounded later.
//
// For inputs with the Gram matrix H = M D M^T, M unit lower triangular, the rounding error E of a
// row costs E H E^T; going from the last input to the first, each weight w_j is rounded from
// w_j + sum over k > j of E_k M_kj. Frantar et al., GPTQ, 2022, section 3, in the form of Chee et
// al., QuIP, 2023, section 3 (LDLQ), which needs no inverse of H.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/cpu_features.h"

namespace pocketr1 {

// All row-major. Groups are of consecutive inputs; scales and centres are fixed beforehand, so that
// any order of rounding keeps the layout of a format ("static groups").
struct FeedbackRows {
  std::span<const float> weights;  // (rows, cols)
  std::size_t rows;
  std::size_t cols;
  std::span<const std::uint32_t> order;  // (cols): the input at each place; the last comes first
  std::span<const float> factor;         // (cols, cols): row j holds M_kj at k > j; by place
  std::span<const float> scales;         // (rows, groups)
  std::span<const float> centres;        // (rows, groups): the code that stands for zero
  std::size_t group_size;
  int low;  // the range of codes
  int high;
  std::string name{};  // names the tensor in errors
};

struct FeedbackOptions {
  Isa isa = Isa::scalar;
  unsigned threads = 1;
};

// Writes the codes, (rows, cols), as bytes (of signed codes where `low` is negative). The same on
// every instruction set and for any number of threads.
// Throws Error "quantize-unsupported" where a size differs or `order` is no permutation,
// "quantize-not-finite" for a weight or factor that is not finite, or "threads".
void round_with_feedback(const FeedbackRows& rows, const FeedbackOptions& options,
                         std::span<std::uint8_t> codes);

}  // namespace pocketr1
