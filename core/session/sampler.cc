#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "session/philox.h"

namespace pocketr1 {
namespace {

constexpr float kRuledOut = -std::numeric_limits<float>::infinity();

void check(bool good, const char* option, const char* reason) {
  if (!good) throw Error("usage-sampling", option, reason);
}

}  // namespace

void Sampler::sort_until(std::size_t count, float mass) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  };
  sorted_ = 0;
  float held = 0.0f;
  std::size_t step = 256;
  while (sorted_ < std::min(count, candidates_.size()) && held < mass) {
    const std::size_t next = std::min({sorted_ + step, count, candidates_.size()});
    const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(next);
    if (next < candidates_.size()) std::nth_element(begin, end - 1, candidates_.end(), likelier);
    std::sort(begin, end, likelier);
    for (auto it = begin; it != end; ++it) held += it->probability;
    sorted_ = next;
    step *= 8;
  }
}

std::int32_t Sampler::sample(const KernelTable& kernels, std::span<const float> logits,
                             std::span<const std::int32_t> history, const Sampling& sampling,
                             std::uint64_t position) {
  check(sampling.temperature >= 0.0f && sampling.temperature <= 100.0f, "temperature",
        "must be between 0 and 100");
  check(sampling.top_k >= 0, "top_k", "must not be negative");
  check(sampling.top_p > 0.0f && sampling.top_p <= 1.0f, "top_p", "must be above 0 and at most 1");
  check(sampling.min_p >= 0.0f && sampling.min_p <= 1.0f, "min_p", "must be between 0 and 1");
  check(sampling.repetition_penalty > 0.0f && std::isfinite(sampling.repetition_penalty),
        "repetition_penalty", "must be above 0");

  scores_.assign(logits.begin(), logits.end());
  if (sampling.repetition_penalty != 1.0f) {
    seen_.assign(history.begin(), history.end());
    std::sort(seen_.begin(), seen_.end());
    seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
    for (std::int32_t token : seen_) {
      check(token >= 0 && static_cast<std::size_t>(token) < scores_.size(), "history",
            "holds a token outside the vocabulary");
      float& score = scores_[static_cast<std::size_t>(token)];
      score =
          score < 0.0f ? score * sampling.repetition_penalty : score / sampling.repetition_penalty;
    }
  }

  std::size_t best = 0;
  bool finite = !scores_.empty();
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    finite = finite && scores_[i] < std::numeric_limits<float>::infinity();  // false for NaN
    if (scores_[i] > scores_[best]) best = i;
  }
  if (!finite || scores_[best] == kRuledOut) {
    throw Error("logits-not-finite", "token " + std::to_string(position),
                "the model gave no usable probabilities");
  }
  if (sampling.temperature == 0.0f) return static_cast<std::int32_t>(best);

  weights_.resize(scores_.size());
  const float largest = scores_[best];
  // The smallest temperatures have no finite inverse, and infinity times the best score's 0 is NaN.
  const float factor = std::min(1.0f / sampling.temperature, std::numeric_limits<float>::max());
  kernels.exp_sum(scores_.data(), scores_.size(), largest, factor, weights_.data());
  // min_p compares ratios, which truncation does not change: it may come first. The likeliest
  // token's weight is 1.
  candidates_.clear();
  float total = 0.0f;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    if (scores_[i] == kRuledOut) continue;
    candidates_.push_back({weights_[i], static_cast<std::int32_t>(i)});
  }
  std::size_t kept = candidates_.size();
  if (sampling.top_k > 0 && static_cast<std::size_t>(sampling.top_k) < kept) {
    kept = static_cast<std::size_t>(sampling.top_k);
    sort_until(kept, std::numeric_limits<float>::infinity());
    candidates_.resize(kept);
  }
  for (const Candidate& one : candidates_) total += one.probability;
  if (sampling.top_p < 1.0f) {
    const float mass = sampling.top_p * total;
    sort_until(candidates_.size(), mass);
    float held = 0.0f;
    for (kept = 0; kept < sorted_ && held < mass; ++kept) held += candidates_[kept].probability;
    candidates_.resize(std::max<std::size_t>(kept, 1));
  }
  if (sampling.min_p > 0.0f) {
    std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < sampling.min_p; });
  }

  total = 0.0f;
  for (const Candidate& one : candidates_) total += one.probability;
  const float target = uniform(sampling.seed, sampling.index, position) * total;
  float reached = 0.0f;
  for (const Candidate& one : candidates_) {
    reached += one.probability;
    if (target < reached) return one.token;
  }
  return candidates_.back().token;
}

}  // namespace pocketr1
