// Attention over pages against the definition, on what the pages hold.
#include "ops/attention.h"

#include <cmath>
#include <random>

#include "base/cpu_features.h"
#include "base/half.h"
#include "check.h"

using namespace pocketr1;

namespace {

struct Shape {
  std::size_t heads, kv_heads, head_dim;
};

std::mt19937 generator(17);

float random_float(float size) {
  return (static_cast<float>(generator() >> 8) / 8388608.0f - 1.0f) * size;
}

enum class Kind { key, value };

// One channel of a token in a block, as kv_format.h lays it out.
double stored(KvFormat format, Kind kind, const std::uint8_t* block, std::size_t head_dim,
              std::size_t token, std::size_t channel) {
  const std::size_t padded = padded_head_dim(head_dim);
  const std::size_t at = token * padded + channel;
  if (format == KvFormat::f32) return reinterpret_cast<const float*>(block)[at];
  if (format == KvFormat::f16) {
    return f16_to_f32(reinterpret_cast<const std::uint16_t*>(block)[at]);
  }
  const auto* scales = reinterpret_cast<const std::uint16_t*>(block + kPageTokens * padded);
  const std::size_t code = kind == Kind::key ? (channel / 4 * 64 + token) * 4 + channel % 4
                                             : (token / 4 * padded + channel) * 4 + token % 4;
  return static_cast<double>(reinterpret_cast<const std::int8_t*>(block)[code]) *
         f16_to_f32(scales[channel / 32 * 64 + token]);
}

// The pages of one sequence, with room for another layer in front.
struct Pages {
  std::vector<AlignedBuffer<std::uint8_t>> memory;
  std::vector<const std::uint8_t*> pages;
  std::size_t layer_offset, block;

  Pages(const KernelTable& kernels, KvFormat format, const Shape& s, std::size_t tokens)
      : layer_offset(128), block(kv_block_bytes(format, s.head_dim)) {
    const auto store_key = kernels.store_key[static_cast<std::size_t>(format)];
    const auto store_value = kernels.store_value[static_cast<std::size_t>(format)];
    std::vector<float> x(s.head_dim);
    for (std::size_t t = 0; t < tokens; ++t) {
      if (t % kPageTokens == 0) {
        memory.emplace_back(layer_offset + 2 * s.kv_heads * block);
        std::memset(memory.back().data(), 0xff, memory.back().size());  // NaN, if ever read
        pages.push_back(memory.back().data());
      }
      for (std::size_t h = 0; h < 2 * s.kv_heads; ++h) {
        // One channel is far larger than the rest, as a key bias makes it.
        for (float& v : x) v = random_float(1.0f);
        x[s.head_dim / 2] *= 60.0f;
        std::uint8_t* at = memory.back().data() + layer_offset + h * block;
        const Kind kind = h % 2 == 0 ? Kind::key : Kind::value;
        (kind == Kind::key ? store_key : store_value)(x.data(), s.head_dim, t % kPageTokens, at);
        for (std::size_t i = 0; i < s.head_dim; ++i) {
          const double error = std::abs(stored(format, kind, at, s.head_dim, t % 64, i) - x[i]);
          const bool large = i / 32 == s.head_dim / 2 / 32;
          const double step = (large ? 60.0 : 1.0) / 127.0;
          const double bound[] = {0.0, std::abs(x[i]) / 2048.0 + 1e-7, 0.57 * step};
          CHECK(error <= bound[static_cast<std::size_t>(format)]);
        }
      }
    }
  }
};

void check_attention(const KernelTable& kernels, KvFormat format, const Shape& s,
                     const std::vector<std::size_t>& row_tokens, unsigned threads) {
  std::size_t most = 0;
  for (std::size_t tokens : row_tokens) most = std::max(most, tokens);
  const Pages pages(kernels, format, s, most);
  const float scale = 0.3f / std::sqrt(static_cast<float>(s.head_dim));
  const std::size_t width = s.heads * s.head_dim;
  std::vector<float> q(row_tokens.size() * width);
  for (float& v : q) v = random_float(1.0f);
  std::vector<float> out(q.size());
  std::vector<AttentionRow> rows;
  for (std::size_t tokens : row_tokens) rows.push_back({pages.pages.data(), tokens});

  ThreadPool pool(threads);
  KernelTrace trace;
  AttentionWorkspace workspace;
  attention({kernels, pool, trace},
            {format, s.heads, s.kv_heads, s.head_dim, pages.layer_offset, scale}, rows.data(),
            rows.size(), q.data(), out.data(), workspace);

  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      const std::size_t offset = pages.layer_offset + h / (s.heads / s.kv_heads) * 2 * pages.block;
      const float* query = q.data() + r * width + h * s.head_dim;
      std::vector<double> sum(s.head_dim), size(s.head_dim), rounded(s.head_dim);
      double total = 0.0;
      double score_error = 0.0;
      for (std::size_t begin = 0; begin < row_tokens[r]; begin += kPageTokens) {
        const std::size_t end = std::min(row_tokens[r], begin + kPageTokens);
        const std::uint8_t* keys = pages.pages[begin / kPageTokens] + offset;
        double largest_weight = 0.0;
        std::vector<double> largest_value(s.head_dim);
        for (std::size_t t = begin; t < end; ++t) {
          double score = 0.0;
          double key_size = 0.0;
          for (std::size_t i = 0; i < s.head_dim; ++i) {
            const double k = stored(format, Kind::key, keys, s.head_dim, t % 64, i);
            score += query[i] * k;
            key_size += std::abs(k);
          }
          // int8: the digits of a query are right to half a step, an 8191st of at most 1.
          score_error = std::max(score_error, key_size * scale * 0.5 / 8191.0);
          const double weight = std::exp(score * static_cast<double>(scale));
          total += weight;
          largest_weight = std::max(largest_weight, weight);
          for (std::size_t i = 0; i < s.head_dim; ++i) {
            const double v = stored(format, Kind::value, keys + pages.block, s.head_dim, t % 64, i);
            sum[i] += weight * v;
            size[i] += weight * std::abs(v);
            for (std::size_t c = i / 32 * 32; c < std::min(s.head_dim, i / 32 * 32 + 32); ++c) {
              largest_value[c] = std::max(largest_value[c], std::abs(v));
            }
          }
        }
        // int8: a weight with the scale of its value is right to half a 16383rd of the block's.
        for (std::size_t i = 0; i < s.head_dim; ++i) {
          rounded[i] +=
              static_cast<double>(end - begin) * largest_weight * largest_value[i] * 0.5 / 16383.0;
        }
      }
      for (std::size_t i = 0; i < s.head_dim; ++i) {
        // Scores stay below 20: their float rounding is 2e-6 of a weight, sums add as much.
        const bool int8 = format == KvFormat::int8;
        const double relative = 1e-5 + (int8 ? 2.0 * score_error : 0.0);
        const double bound = (relative * size[i] + (int8 ? rounded[i] : 0.0)) / total;
        const double got = out[r * width + h * s.head_dim + i];
        CHECK(std::abs(got - sum[i] / total) <= bound);
      }
    }
  }
}

constexpr KvFormat kAllKv[] = {KvFormat::f32, KvFormat::f16, KvFormat::int8};

}  // namespace

TEST(attention_is_the_weighted_mean_of_the_values_a_row_sees) {
  for (Isa isa : runnable_isas()) {
    const KernelTable& kernels = select_kernels(std::string(isa_name(isa)).c_str());
    for (KvFormat format : kAllKv) {
      for (const Shape& s : {Shape{6, 2, 24}, Shape{9, 1, 64}, Shape{2, 2, 256}, Shape{12, 4, 128},
                             Shape{3, 1, 40}}) {
        check_attention(kernels, format, s, {1, 63, 64, 65, 130}, 2);
      }
    }
  }
}

TEST(long_contexts_are_merged_from_their_splits) {
  for (KvFormat format : kAllKv) {
    for (unsigned threads : {1u, 3u}) {
      // One row of few heads: a task per split. Many rows: a task per row.
      check_attention(select_kernels(""), format, {2, 1, 32}, {1337}, threads);
      check_attention(select_kernels(""), format, {2, 1, 32}, {512, 513, 1024, 1025}, threads);
      check_attention(select_kernels(""), format, {4, 4, 32}, {600, 511, 1, 1025}, threads);
    }
  }
}
