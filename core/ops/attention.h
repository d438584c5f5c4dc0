// Causal attention of a batch of rows over the K/V pages of their sequences.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "formats/kv_format.h"
#include "ops/context.h"

namespace pocketr1 {

// Tokens of one split: a row's context is cut into splits of this size, whatever the batch or the
// number of threads, and the splits are merged in ascending order.
inline constexpr std::size_t kAttentionSplit = 8 * kPageTokens;

struct AttentionRow {
  const std::uint8_t* const* pages;
  std::size_t tokens;  // that the row sees, itself included
};

struct AttentionShape {
  KvFormat format;
  std::size_t heads;
  std::size_t kv_heads;
  std::size_t head_dim;
  std::size_t layer_offset;  // bytes from the start of a page to this layer's first K block
  float scale;
};

struct AttentionWorkspace {
  AlignedBuffer<float> queries;
  AlignedBuffer<float> partial;
};

// q, out: (rows, heads * head_dim).
void attention(const Context& context, const AttentionShape& shape, const AttentionRow* rows,
               std::size_t row_count, const float* q, float* out, AttentionWorkspace& workspace);

}  // namespace pocketr1
