#include "quantize/feedback.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "check.h"

using namespace pocketr1;

namespace {

constexpr std::size_t kGroup = 32;

struct Case {
  std::vector<float> weights;
  std::vector<std::uint32_t> order;
  std::vector<float> factor;
  std::vector<float> scales;
  std::vector<float> centres;
  FeedbackRows rows;
};

Case make(std::size_t rows, std::size_t cols, bool negative_scales) {
  std::mt19937 random(static_cast<unsigned>(rows * 131 + cols));
  std::normal_distribution<float> normal(0.0F, 1.0F);
  Case made;
  made.weights.resize(rows * cols);
  for (float& weight : made.weights) weight = normal(random);
  made.order.resize(cols);
  std::iota(made.order.begin(), made.order.end(), 0U);
  std::shuffle(made.order.begin(), made.order.end(), random);
  made.factor.resize(cols * cols);
  for (float& value : made.factor) value = 0.2F * normal(random);
  const std::size_t groups = (cols + kGroup - 1) / kGroup;
  made.scales.resize(rows * groups);
  for (float& scale : made.scales) {
    scale = 0.1F + 0.2F * std::abs(normal(random));
    if (negative_scales && normal(random) < 0.0F) scale = -scale;
  }
  made.scales[0] = 0.0F;
  made.centres.assign(rows * groups, 8.0F);
  made.rows = {made.weights, rows,         cols,   made.order, made.factor,
               made.scales,  made.centres, kGroup, 0,          15};
  return made;
}

// As feedback.h says it, a row and a place at a time.
std::vector<std::uint8_t> expected(const Case& made) {
  const FeedbackRows& rows = made.rows;
  const std::size_t groups = (rows.cols + kGroup - 1) / kGroup;
  std::vector<std::uint8_t> codes(rows.rows * rows.cols);
  for (std::size_t r = 0; r < rows.rows; ++r) {
    std::vector<float> errors(rows.cols);
    for (std::size_t place = rows.cols; place-- > 0;) {
      const std::size_t input = rows.order[place];
      const float scale = rows.scales[r * groups + input / kGroup];
      const float weight = rows.weights[r * rows.cols + input];
      // The order of additions is the core's: what lies behind a tile of eight places first.
      const std::size_t left = rows.cols - place;
      const std::size_t tile_end = rows.cols - (left - 1) / 8 * 8;
      const bool tiled = tile_end >= 8;
      float wanted = 0.0F;
      for (std::size_t k = tiled ? tile_end : place + 1; k < rows.cols; ++k) {
        wanted += errors[k] * rows.factor[place * rows.cols + k];
      }
      for (std::size_t k = place + 1; tiled && k < tile_end; ++k) {
        wanted += errors[k] * rows.factor[place * rows.cols + k];
      }
      const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
      const float steps = (weight + wanted) * inverse + 8.0F;
      const float code = std::nearbyint(std::clamp(steps, 0.0F, 15.0F));
      errors[place] = weight - (code - 8.0F) * scale;
      codes[r * rows.cols + input] = static_cast<std::uint8_t>(code);
    }
  }
  return codes;
}

}  // namespace

TEST(every_instruction_set_and_thread_count_rounds_as_the_formula_does) {
  for (const std::size_t rows : {1UL, 16UL, 35UL}) {
    for (const std::size_t cols : {3UL, 8UL, 61UL}) {
      const Case made = make(rows, cols, rows == 35);
      const std::vector<std::uint8_t> want = expected(made);
      for (const Isa isa : runnable_isas()) {
        for (const unsigned threads : {1U, 3U}) {
          std::vector<std::uint8_t> codes(rows * cols);
          round_with_feedback(made.rows, {isa, threads}, codes);
          CHECK(codes == want);
        }
      }
    }
  }
}

TEST(what_does_not_fit_is_refused) {
  Case made = make(4, 8, false);
  std::vector<std::uint8_t> codes(32);
  made.order[0] = made.order[1];
  CHECK_ERROR(round_with_feedback(made.rows, {}, codes), "quantize-unsupported");
  made = make(4, 8, false);
  CHECK_ERROR(round_with_feedback(made.rows, {}, std::span(codes).first(31)),
              "quantize-unsupported");
  made.weights[5] = std::nanf("");
  CHECK_ERROR(round_with_feedback(made.rows, {}, codes), "quantize-not-finite");
}
