#include "ops/attention.h"

#include <algorithm>

namespace pocketr1 {
namespace {

// The result of a range of tokens for the heads that share a K/V head: max and sum per head, then
// (heads, padded_head_dim) weighted values.
struct Partial {
  float* max;
  float* sum;
  float* out;
};

struct Geometry {
  std::size_t group;   // query heads per K/V head
  std::size_t padded;  // padded_head_dim
  std::size_t floats() const { return group * (padded + 2); }
  Partial at(float* base, std::size_t index) const {
    float* start = base + index * floats();
    return {start, start + group, start + 2 * group};
  }
};

float exp_one(const Context& context, float x) {
  float y;
  context.kernels.exp_sum(&x, 1, 0.0f, 1.0f, &y);
  return y;
}

// Adds the range `next`, which comes behind `total`.
void merge(const Context& context, const Geometry& g, const Partial& total, const Partial& next) {
  for (std::size_t h = 0; h < g.group; ++h) {
    const float largest = std::max(total.max[h], next.max[h]);
    const float keep = exp_one(context, total.max[h] - largest);
    const float take = exp_one(context, next.max[h] - largest);
    total.max[h] = largest;
    total.sum[h] = total.sum[h] * keep + next.sum[h] * take;
    float* out = total.out + h * g.padded;
    const float* more = next.out + h * g.padded;
    for (std::size_t i = 0; i < g.padded; ++i) out[i] = out[i] * keep + more[i] * take;
  }
}

// Rows of a tile: many share what they read, but a few tiles a thread must be left.
std::size_t tile_rows(std::size_t rows, std::size_t kv_heads, unsigned threads) {
  constexpr std::size_t most = 16;
  return std::clamp<std::size_t>(rows * kv_heads / (std::size_t{4} * threads), 1, most);
}

}  // namespace

void attention(const Context& context, const AttentionShape& shape, const AttentionRow* rows,
               std::size_t row_count, const float* q, float* out, AttentionWorkspace& workspace) {
  const Geometry g{shape.heads / shape.kv_heads, padded_head_dim(shape.head_dim)};
  const std::size_t block = kv_block_bytes(shape.format, shape.head_dim);
  const auto function = context.kernels.attention[static_cast<std::size_t>(shape.format)];

  const float* queries = q;
  if (g.padded != shape.head_dim) {
    workspace.queries.reserve(row_count * shape.heads * g.padded);
    float* padded = workspace.queries.data();
    for (std::size_t i = 0; i < row_count * shape.heads; ++i) {
      std::copy_n(q + i * shape.head_dim, shape.head_dim, padded + i * g.padded);
      std::fill_n(padded + i * g.padded + shape.head_dim, g.padded - shape.head_dim, 0.0f);
    }
    queries = padded;
  }

  std::size_t splits = 1;
  for (std::size_t r = 0; r < row_count; ++r) {
    splits = std::max(splits, (rows[r].tokens + kAttentionSplit - 1) / kAttentionSplit);
  }
  const std::size_t pairs = row_count * shape.kv_heads;
  auto run_split = [&](std::size_t pair, std::size_t split, const Partial& into) {
    const AttentionRow& row = rows[pair / shape.kv_heads];
    const std::size_t kv_head = pair % shape.kv_heads;
    const std::size_t offset = shape.layer_offset + kv_head * 2 * block;
    const std::size_t end = std::min(row.tokens, (split + 1) * kAttentionSplit);
    function({queries + pair * g.group * g.padded, g.group, shape.head_dim, row.pages, offset,
              offset + block, split * kAttentionSplit, end, shape.scale, into.max, into.sum,
              into.out});
  };
  auto finish = [&](std::size_t pair, const Partial& total) {
    for (std::size_t h = 0; h < g.group; ++h) {
      float* to = out + (pair * g.group + h) * shape.head_dim;
      const float* from = total.out + h * g.padded;
      for (std::size_t i = 0; i < shape.head_dim; ++i) to[i] = from[i] / total.sum[h];
    }
  };
  auto row_splits = [&](std::size_t pair) {
    return (rows[pair / shape.kv_heads].tokens + kAttentionSplit - 1) / kAttentionSplit;
  };

  if (pairs >= std::size_t{4} * context.pool.threads() || splits == 1) {
    // Enough rows for every thread. Those of a tile take a split one after the other while its keys
    // and values are in the cache, and each folds its splits as it goes.
    const std::size_t tile = tile_rows(row_count, shape.kv_heads, context.pool.threads());
    const std::size_t tiles = (row_count + tile - 1) / tile;
    workspace.partial.reserve(context.pool.threads() * (tile + 1) * g.floats());
    context.pool.run(tiles * shape.kv_heads, [&](std::size_t task, unsigned thread) {
      // The last rows see the most: they go first, so that no thread is left with them at the end.
      const std::size_t first = (tiles - 1 - task / shape.kv_heads) * tile;
      const std::size_t rows_here = std::min(tile, row_count - first);
      const std::size_t kv_head = task % shape.kv_heads;
      float* base = workspace.partial.data() + thread * (tile + 1) * g.floats();
      const Partial next = g.at(base, tile);
      std::size_t most = 0;
      for (std::size_t r = first; r < first + rows_here; ++r) {
        most = std::max(most, row_splits(r * shape.kv_heads));
      }
      for (std::size_t split = 0; split < most; ++split) {
        for (std::size_t r = 0; r < rows_here; ++r) {
          const std::size_t pair = (first + r) * shape.kv_heads + kv_head;
          const Partial total = g.at(base, r);
          if (split == 0) {
            run_split(pair, 0, total);
          } else if (split < row_splits(pair)) {
            run_split(pair, split, next);
            merge(context, g, total, next);
          }
        }
      }
      for (std::size_t r = 0; r < rows_here; ++r) {
        finish((first + r) * shape.kv_heads + kv_head, g.at(base, r));
      }
    });
    return;
  }
  // Few rows over a long context: the splits are the tasks, folded afterwards in the same order.
  workspace.partial.reserve(pairs * splits * g.floats());
  context.pool.run(pairs * splits, [&](std::size_t task, unsigned) {
    const std::size_t pair = task / splits;
    const std::size_t split = task % splits;
    if (split < row_splits(pair)) run_split(pair, split, g.at(workspace.partial.data(), task));
  });
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const Partial total = g.at(workspace.partial.data(), pair * splits);
    for (std::size_t split = 1; split < row_splits(pair); ++split) {
      merge(context, g, total, g.at(workspace.partial.data(), pair * splits + split));
    }
    finish(pair, total);
  }
}

}  // namespace pocketr1
