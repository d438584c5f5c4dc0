// K/V pages: 64 tokens under one id for all layers.
//
// A page holds, layer after layer and K/V head after head, a K block and a V block, each of 64
// tokens x padded_head_dim elements; head_dim is padded to a multiple of 32 with zeros:
//   f32, f16: the elements (64 tokens, padded_head_dim).
//   int8: codes -127..127, then f16 scales (padded_head_dim / 32, 64 tokens): a scale per token and
//         32 channels, because a key bias makes single channels many times larger than the rest.
//         Codes lie as integer dot products of four bytes take them, the sums side by side:
//           K: (padded_head_dim / 4, 64 tokens, 4 channels)
//           V: (64 / 4, padded_head_dim, 4 tokens)
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1 {

constexpr std::size_t kPageTokens = 64;
constexpr std::size_t kKvGroup = 32;
constexpr std::size_t kKvFormats = 3;
constexpr std::size_t kKvFour = 4;  // int8 codes that one dot product adds up
constexpr std::size_t kLargestHeadDim = 1024;

enum class KvFormat : std::uint8_t { f32, f16, int8 };

static constexpr std::size_t padded_head_dim(std::size_t head_dim) {
  return (head_dim + kKvGroup - 1) / kKvGroup * kKvGroup;
}

// Bytes of one block: a multiple of 64.
static constexpr std::size_t kv_block_bytes(KvFormat format, std::size_t head_dim) {
  const std::size_t elements = kPageTokens * padded_head_dim(head_dim);
  switch (format) {
    case KvFormat::f32:
      return elements * 4;
    case KvFormat::f16:
      return elements * 2;
    case KvFormat::int8:
      break;
  }
  return elements + elements / kKvGroup * 2;
}

// Where the code of a token's channel lies in an int8 block of keys, or of values.
static constexpr std::size_t key_code_at(std::size_t token, std::size_t channel) {
  return (channel / kKvFour * kPageTokens + token) * kKvFour + channel % kKvFour;
}
static constexpr std::size_t value_code_at(std::size_t padded_dim, std::size_t token,
                                           std::size_t channel) {
  return (token / kKvFour * padded_dim + channel) * kKvFour + token % kKvFour;
}

// Throws Error("usage-kv-format") for anything but "f32", "f16", "int8".
KvFormat parse_kv_format(const char* name);

}  // namespace pocketr1
