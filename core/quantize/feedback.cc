#include "quantize/feedback.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/float_environment.h"
#include "base/thread_pool.h"
#include "formats/tile.h"
#include "quantize/feedback_block.h"

namespace pocketr1 {
namespace {

FeedbackBlock block_function(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512_vnni) return feedback_block_avx512_vnni;
  if (isa == Isa::avx2) return feedback_block_avx2;
#endif
  static_cast<void>(isa);
  return feedback_block_scalar;
}

void check(const FeedbackRows& rows, std::size_t groups, std::size_t codes) {
  const std::size_t size = rows.rows * rows.cols;
  const auto fail = [&](const char* what) { throw Error("quantize-unsupported", rows.name, what); };
  if (rows.weights.size() != size || codes != size) fail("weights or codes have another size");
  if (rows.factor.size() != rows.cols * rows.cols) fail("the factor has another size");
  if (rows.scales.size() != rows.rows * groups || rows.centres.size() != rows.rows * groups) {
    fail("scales or centres have another size");
  }
  std::vector<bool> seen(rows.cols);
  if (rows.order.size() != rows.cols) fail("the order has another size");
  for (const std::uint32_t input : rows.order) {
    if (input >= rows.cols || seen[input]) fail("the order is no permutation");
    seen[input] = true;
  }
}

// A block's arrays by place, and with the lanes of its 16 rows side by side.
struct Workspace {
  std::vector<float> weights;
  std::vector<float> scales;
  std::vector<float> centres;
  std::vector<float> errors;
  std::vector<std::uint8_t> codes;
};

}  // namespace

void round_with_feedback(const FeedbackRows& rows, const FeedbackOptions& options,
                         std::span<std::uint8_t> codes) {
  if (rows.group_size == 0) throw Error("quantize-unsupported", rows.name, "groups of nothing");
  const std::size_t cols = rows.cols;
  const std::size_t groups = (cols + rows.group_size - 1) / rows.group_size;
  check(rows, groups, codes.size());
  for (std::size_t j = 0; j < cols; ++j) {
    const float* row = rows.factor.data() + j * cols;
    if (!std::all_of(row + j + 1, row + cols, [](float x) { return std::isfinite(x); })) {
      throw Error("quantize-not-finite", rows.name, "the factor holds a value that is not finite");
    }
  }
  std::vector<std::uint32_t> group_of(cols);
  for (std::size_t place = 0; place < cols; ++place) {
    group_of[place] = static_cast<std::uint32_t>(rows.order[place] / rows.group_size);
  }

  const FeedbackBlock round = block_function(options.isa);
  const std::size_t blocks = (rows.rows + kTileRows - 1) / kTileRows;
  ThreadPool pool(static_cast<unsigned>(
      std::clamp<std::size_t>(options.threads, 1, std::max<std::size_t>(blocks, 1))));
  std::vector<Workspace> workspaces(pool.threads());
  std::vector<std::uint8_t> bad(blocks);
  pool.run(blocks, [&](std::size_t block, unsigned thread) {
    const FloatEnvironment environment;
    Workspace& work = workspaces[thread];
    work.weights.assign(cols * kTileRows, 0.0F);
    work.scales.assign(groups * kTileRows, 0.0F);
    work.centres.assign(groups * kTileRows, 0.0F);
    work.errors.resize(cols * kTileRows);
    work.codes.resize(cols * kTileRows);
    const std::size_t first = block * kTileRows;
    const std::size_t count = std::min(kTileRows, rows.rows - first);
    for (std::size_t r = 0; r < count; ++r) {
      const float* weights = rows.weights.data() + (first + r) * cols;
      for (std::size_t place = 0; place < cols; ++place) {
        const float weight = weights[rows.order[place]];
        bad[block] |= static_cast<std::uint8_t>(!std::isfinite(weight));
        work.weights[place * kTileRows + r] = weight;
      }
      for (std::size_t g = 0; g < groups; ++g) {
        work.scales[g * kTileRows + r] = rows.scales[(first + r) * groups + g];
        work.centres[g * kTileRows + r] = rows.centres[(first + r) * groups + g];
      }
    }
    if (bad[block] != 0) return;
    round({work.weights.data(), cols, rows.factor.data(), group_of.data(), work.scales.data(),
           work.centres.data(), static_cast<float>(rows.low), static_cast<float>(rows.high),
           work.errors.data(), work.codes.data()});
    for (std::size_t r = 0; r < count; ++r) {
      std::uint8_t* to = codes.data() + (first + r) * cols;
      for (std::size_t place = 0; place < cols; ++place) {
        to[rows.order[place]] = work.codes[place * kTileRows + r];
      }
    }
  });
  if (std::any_of(bad.begin(), bad.end(), [](std::uint8_t flag) { return flag != 0; })) {
    throw Error("quantize-not-finite", rows.name, "a row holds a value that is not finite");
  }
}

}  // namespace pocketr1
