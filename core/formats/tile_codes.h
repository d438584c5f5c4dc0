// Single codes of a block of 16 rows, where weight_format.h says they lie.
#pragma once

#include "formats/tile.h"

namespace pocketr1 {

// The code of a row (0..15) and an input; in 8 bits the signed byte's bits.
static inline std::uint8_t read_code(const std::uint8_t* block, unsigned bits, std::size_t row,
                                     std::size_t input) {
  const std::size_t at = 4 * row + input % 4;
  if (bits == 3) {
    const std::uint8_t* tiles = block + input / 32 * 3 * kTileBytes + at;
    const std::size_t tile = input % 32 / 8;
    const unsigned both = tile < 3 ? tiles[tile * kTileBytes]
                                   : static_cast<unsigned>(tiles[0] >> 6) |
                                         static_cast<unsigned>(tiles[kTileBytes] >> 6) << 2 |
                                         static_cast<unsigned>(tiles[2 * kTileBytes] >> 6) << 4;
    return static_cast<std::uint8_t>(both >> (input % 8 < 4 ? 0 : 3) & 7U);
  }
  const std::size_t fours = 8 / bits;  // inputs of a tile, in fours
  const unsigned byte = block[input / (4 * fours) * kTileBytes + at];
  return static_cast<std::uint8_t>(byte >> (input / 4 % fours * bits) & ((1U << bits) - 1));
}

// Sets a code whose bits are zero.
static inline void put_code(std::uint8_t* block, unsigned bits, std::size_t row, std::size_t input,
                            std::uint8_t code) {
  const std::size_t at = 4 * row + input % 4;
  if (bits == 3) {
    std::uint8_t* tiles = block + input / 32 * 3 * kTileBytes + at;
    const std::size_t tile = input % 32 / 8;
    const unsigned both = static_cast<unsigned>(code) << (input % 8 < 4 ? 0 : 3);
    for (std::size_t t = 0; t < 3; ++t) {
      if (tile == t) tiles[t * kTileBytes] |= static_cast<std::uint8_t>(both);
      if (tile == 3) {
        tiles[t * kTileBytes] |= static_cast<std::uint8_t>((both >> (2 * t) & 3U) << 6);
      }
    }
    return;
  }
  const std::size_t fours = 8 / bits;
  block[input / (4 * fours) * kTileBytes + at] |=
      static_cast<std::uint8_t>(code << (input / 4 % fours * bits));
}

}  // namespace pocketr1
