// From logits to a token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.h"

namespace pocketr1 {

// Applied in this order, as transformers does.
struct Sampling {
  float repetition_penalty = 1.0f;  // Keskar et al., CTRL, 2019, section 4.1; 1: off
  float temperature = 0.6f;         // 0: the most likely token, the lowest id among equals
  std::int32_t top_k = 0;           // 0: off
  float top_p = 0.95f;  // Holtzman et al., The Curious Case of Neural Text Degeneration, 2019
  float min_p = 0.0f;   // Nguyen et al., Turning Up the Heat, 2024; 0: off
  std::uint64_t seed = 0;
  std::uint64_t index = 0;  // the caller's index within a request
};

class Sampler {
 public:
  // logits: (vocab_size). history: the tokens that repetition_penalty speaks of. The same arguments
  // give the same token on every machine. A logit of -infinity rules a token out; throws
  // Error("logits-not-finite") for NaN, +infinity, or where every token is ruled out, and
  // Error("usage-sampling") for a parameter out of range.
  std::int32_t sample(const KernelTable& kernels, std::span<const float> logits,
                      std::span<const std::int32_t> history, const Sampling& sampling,
                      std::uint64_t position);

 private:
  struct Candidate {
    float probability;
    std::int32_t token;
  };
  // Orders the likeliest candidates first, until `count` of them, or as many as hold `mass`.
  void sort_until(std::size_t count, float mass);
  // Orders all candidates from `begin` on.
  void sort_rest(std::size_t begin);

  std::vector<float> scores_;
  std::vector<float> weights_;
  std::vector<std::int32_t> seen_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> spare_;
  std::size_t sorted_ = 0;
};

}  // namespace pocketr1
