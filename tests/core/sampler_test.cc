#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "session/philox.h"

using namespace pocketr1;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::int32_t draw(const std::vector<float>& logits, const Sampling& sampling,
                  std::uint64_t position = 0, const std::vector<std::int32_t>& history = {}) {
  Sampler sampler;
  return sampler.sample(select_kernels(""), logits, history, sampling, position);
}

}  // namespace

TEST(philox_gives_the_published_vectors) {
  // Random123's known answers for philox4x32-10.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(
      (philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK((philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
         Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(greedy_takes_the_likeliest_and_the_lowest_id_among_equals) {
  CHECK_EQ(draw({0.5f, 2.0f, 2.0f, -1.0f}, {.temperature = 0.0f}), 1);
}

TEST(frequencies_follow_the_probabilities) {
  const std::vector<float> logits{std::log(1.0f), std::log(2.0f), std::log(5.0f), -kInfinity};
  std::vector<int> count(4, 0);
  for (std::uint64_t i = 0; i < 16000; ++i) {
    ++count[static_cast<std::size_t>(
        draw(logits, {.temperature = 1.0f, .top_p = 1.0f, .seed = 3}, i))];
  }
  // Three standard deviations of a binomial are below 190 here.
  CHECK(std::abs(count[0] - 2000) < 190);
  CHECK(std::abs(count[1] - 4000) < 190);
  CHECK(std::abs(count[2] - 10000) < 190);
  CHECK_EQ(count[3], 0);
}

TEST(truncations_keep_what_transformers_keeps) {
  // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625.
  std::vector<float> logits;
  for (float p : {0.0625f, 0.5f, 0.25f, 0.0625f, 0.125f}) logits.push_back(std::log(p));
  auto kept = [&](Sampling sampling) {
    std::string out(5, '.');
    sampling.temperature = 1.0f;
    for (std::uint64_t i = 0; i < 400; ++i)
      out[static_cast<std::size_t>(draw(logits, sampling, i))] = 'x';
    return out;
  };
  CHECK_EQ(kept({.top_k = 2, .top_p = 1.0f}), std::string(".xx.."));
  CHECK_EQ(kept({.top_p = 0.7f}), std::string(".xx.."));
  CHECK_EQ(kept({.top_p = 0.76f}), std::string(".xx.x"));
  CHECK_EQ(kept({.top_p = 0.01f}), std::string(".x..."));
  CHECK_EQ(kept({.top_p = 1.0f, .min_p = 0.2f}), std::string(".xx.x"));
  // top_p counts what top_k left: 0.5 of 0.875.
  CHECK_EQ(kept({.top_k = 3, .top_p = 0.56f}), std::string(".x..."));
}

TEST(the_likeliest_of_a_large_vocabulary_are_those_of_a_full_sort) {
  std::mt19937 random(5);
  for (const float spread : {0.01f, 1.0f, 4.0f, 30.0f}) {
    std::vector<float> logits(20000);
    for (float& x : logits) {
      x = std::round(std::normal_distribution<float>(0.0f, spread)(random) * 64.0f) / 64.0f;
    }
    logits[7] = -kInfinity;
    const float largest = *std::max_element(logits.begin(), logits.end());
    std::vector<float> weights(logits.size());
    select_kernels("").exp_sum(logits.data(), logits.size(), largest, 1.0f, weights.data());
    std::vector<std::int32_t> order;
    float total = 0.0f;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] == -kInfinity) continue;
      order.push_back(static_cast<std::int32_t>(i));
      total += weights[i];
    }
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return weights[static_cast<std::size_t>(a)] > weights[static_cast<std::size_t>(b)];
    });
    for (const float top_p : {1e-6f, 0.3f, 0.95f, 0.99999f}) {
      float held = 0.0f;
      std::size_t kept = 0;
      for (; kept < order.size() && held < top_p * total; ++kept) {
        held += weights[static_cast<std::size_t>(order[kept])];
      }
      for (std::uint64_t position = 0; position < 40; ++position) {
        const float target = uniform(11, 0, position) * held;
        float reached = 0.0f;
        std::size_t at = 0;
        for (; at + 1 < kept; ++at) {
          reached += weights[static_cast<std::size_t>(order[at])];
          if (target < reached) break;
        }
        const Sampling sampling{.temperature = 1.0f, .top_p = top_p, .seed = 11};
        CHECK_EQ(draw(logits, sampling, position), order[at]);
      }
    }
  }
}

TEST(the_same_seed_index_and_position_give_the_same_token_and_others_do_not) {
  std::vector<float> logits(5000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 97) * 0.01f;
  const Sampling sampling{.temperature = 1.0f, .top_p = 0.9f, .seed = 42, .index = 1};
  int differ_by_position = 0, differ_by_index = 0, differ_by_seed = 0;
  for (std::uint64_t position = 0; position < 50; ++position) {
    const std::int32_t token = draw(logits, sampling, position);
    CHECK_EQ(draw(logits, sampling, position), token);
    Sampling other = sampling;
    other.index = 2;
    differ_by_index += draw(logits, other, position) != token;
    other = sampling;
    other.seed = 43;
    differ_by_seed += draw(logits, other, position) != token;
    differ_by_position += draw(logits, sampling, position + 1) != token;
  }
  CHECK(differ_by_index > 45);
  CHECK(differ_by_seed > 45);
  CHECK(differ_by_position > 45);
}

TEST(the_repetition_penalty_counts_a_token_once) {
  const Sampling sampling{.repetition_penalty = 2.0f, .temperature = 0.0f};
  CHECK_EQ(draw({3.0f, 2.0f, -1.0f}, sampling, 0, {0}), 1);
  CHECK_EQ(draw({3.0f, 1.4f, -1.0f}, sampling, 0, {0, 0, 0}), 0);
  CHECK_EQ(draw({-1.0f, -1.5f}, sampling, 0, {0}), 1);
}

TEST(the_smallest_temperature_is_greedy) {
  const std::vector<float> logits{1.0f, 3.0f, 2.0f};
  for (std::uint64_t i = 0; i < 50; ++i) {
    CHECK_EQ(draw(logits, {.temperature = 1e-45f, .top_p = 1.0f}, i), 1);
  }
}

TEST(unusable_logits_and_parameters_are_errors) {
  CHECK_ERROR(draw({1.0f, std::nanf("")}, {}), "logits-not-finite");
  CHECK_ERROR(draw({1.0f, kInfinity}, {}), "logits-not-finite");
  CHECK_ERROR(draw({-kInfinity, -kInfinity}, {}), "logits-not-finite");
  CHECK_ERROR(draw({1.0f}, {.temperature = -1.0f}), "usage-sampling");
  CHECK_ERROR(draw({1.0f}, {.top_p = 0.0f}), "usage-sampling");
  CHECK_ERROR(draw({1.0f}, {.min_p = 1.5f}), "usage-sampling");
  CHECK_ERROR(draw({1.0f}, {.repetition_penalty = 2.0f}, 0, {1}), "usage-sampling");
}
