// How unsigned codes come out of their tiles, 4 rows of a block at a time.
//
// A type has
//   kBits, kUnitInputs, kUnitBytes    what the tiles repeat by, of all 16 rows
//   unpack(unit, fours)               the codes of 4 rows, fours[i]: inputs 4 i .. 4 i + 3 of each
// `unit` points at the first byte of the 4 rows.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "formats/tile.h"

namespace pocketr1::neon_dotprod {
namespace {

struct Codes4 {
  static constexpr unsigned kBits = 4;
  static constexpr std::size_t kUnitInputs = 8;
  static constexpr std::size_t kUnitBytes = kTileBytes;
  static inline void unpack(const std::uint8_t* unit, uint8x16_t (&fours)[2]) {
    const uint8x16_t both = vld1q_u8(unit);
    fours[0] = vandq_u8(both, vdupq_n_u8(15));
    fours[1] = vshrq_n_u8(both, 4);
  }
};

// The two highest bits of three tiles' bytes, six bits in the upper ones: low, middle, high.
inline uint8x16_t join_rests(uint8x16_t low, uint8x16_t middle, uint8x16_t high) {
  return vsriq_n_u8(vsriq_n_u8(high, middle, 2), low, 4);
}

struct Codes3 {
  static constexpr unsigned kBits = 3;
  static constexpr std::size_t kUnitInputs = 32;
  static constexpr std::size_t kUnitBytes = 3 * kTileBytes;
  static inline void unpack(const std::uint8_t* unit, uint8x16_t (&fours)[8]) {
    const uint8x16_t three = vdupq_n_u8(7);
    uint8x16_t tile[3];
#pragma GCC unroll 3
    for (std::size_t t = 0; t < 3; ++t) {
      tile[t] = vld1q_u8(unit + t * kTileBytes);
      fours[2 * t] = vandq_u8(tile[t], three);
      fours[2 * t + 1] = vandq_u8(vshrq_n_u8(tile[t], 3), three);
    }
    const uint8x16_t rests = join_rests(tile[0], tile[1], tile[2]);
    fours[6] = vandq_u8(vshrq_n_u8(rests, 2), three);
    fours[7] = vshrq_n_u8(rests, 5);
  }
};

struct Codes2 {
  static constexpr unsigned kBits = 2;
  static constexpr std::size_t kUnitInputs = 16;
  static constexpr std::size_t kUnitBytes = kTileBytes;
  static inline void unpack(const std::uint8_t* unit, uint8x16_t (&fours)[4]) {
    const uint8x16_t two = vdupq_n_u8(3);
    const uint8x16_t all = vld1q_u8(unit);
    fours[0] = vandq_u8(all, two);
    fours[1] = vandq_u8(vshrq_n_u8(all, 2), two);
    fours[2] = vandq_u8(vshrq_n_u8(all, 4), two);
    fours[3] = vshrq_n_u8(all, 6);
  }
};

// The zero points of a block's group, zero[q]: of rows 4 q .. 4 q + 3, each four times. `zeros` is
// not read where the format has none.
template <typename Codes, bool zero_points>
inline void repeat_zeros(const std::uint8_t* zeros, uint8x16_t (&zero)[4]) {
  for (std::size_t q = 0; q < 4; ++q) zero[q] = vdupq_n_u8(1 << (Codes::kBits - 1));
  if constexpr (zero_points) {
    const uint8x16_t all = vld1q_u8(zeros);
    const uint8x16x2_t pairs = vzipq_u8(all, all);
    for (std::size_t q = 0; q < 4; ++q) {
      const uint16x8_t pair = vreinterpretq_u16_u8(pairs.val[q / 2]);
      const uint16x8x2_t fours = vzipq_u16(pair, pair);
      zero[q] = vreinterpretq_u8_u16(fours.val[q % 2]);
    }
  }
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
