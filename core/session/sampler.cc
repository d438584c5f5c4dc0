#include "session/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "session/philox.h"

namespace pocketr1 {
namespace {

constexpr float kRuledOut = -std::numeric_limits<float>::infinity();
constexpr std::size_t kSelected = 2048;  // candidates that are worth selecting before sorting

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
  count = std::min(count, candidates_.size());
  for (std::size_t step = 256; sorted_ < count && held < mass; step *= 8) {
    const std::size_t next = step <= kSelected ? std::min(sorted_ + step, count) : count;
    const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(next);
    if (step > kSelected) {
      sort_rest(sorted_);
    } else {
      if (next < candidates_.size()) std::nth_element(begin, end - 1, candidates_.end(), likelier);
      std::sort(begin, end, likelier);
    }
    for (auto it = begin; it != end; ++it) held += it->probability;
    sorted_ = next;
  }
}

// Knuth, The Art of Computer Programming, volume 3, section 5.2.5: by each digit of token and then
// probability, the least significant first. Where a distribution is so flat that all of a large
// vocabulary has to be sorted, passes over it cost less than comparisons.
void Sampler::sort_rest(std::size_t begin) {
  constexpr int kDigit = 11;  // bits
  constexpr std::size_t kDigits = std::size_t{1} << kDigit;
  const std::span<Candidate> all = std::span(candidates_).subspan(begin);
  spare_.resize(all.size());
  std::span<Candidate> from = all;
  std::span<Candidate> to = spare_;
  for (int pass = 0; pass < 6; ++pass) {
    const int shift = pass % 3 * kDigit;
    const auto digit = [&](const Candidate& one) -> std::size_t {
      // Of floats that are not negative, the greater has the greater bits.
      const std::uint32_t bits = pass < 3 ? static_cast<std::uint32_t>(one.token)
                                          : ~std::bit_cast<std::uint32_t>(one.probability);
      return bits >> shift & (kDigits - 1);
    };
    std::array<std::uint32_t, kDigits> place{};
    for (const Candidate& one : from) ++place[digit(one)];
    if (place[digit(from.front())] == from.size()) continue;
    std::uint32_t sum = 0;
    for (std::uint32_t& one : place) sum += std::exchange(one, sum);
    for (const Candidate& one : from) to[place[digit(one)]++] = one;
    std::swap(from, to);
  }
  if (from.data() != all.data()) std::copy(from.begin(), from.end(), all.begin());
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
