// Every layout a weight can have on disk and in memory: one trait row each.
//
// Row-major formats (f32, f16, bf16) keep a matrix (rows, cols) as it is in its checkpoint.
// Tile formats cut it into blocks of 16 output rows; within a block the tiles follow the inputs:
//
//   8 bits: a tile is 16 rows x 4 inputs in 64 bytes. Byte 4*r + j is input j of row r, signed,
//           -127..127; the weight is code * scale.
//   4 bits: a tile is 16 rows x 8 inputs in 64 bytes. Byte 4*r + j holds input j of row r in its
//           low nibble and input 4 + j in its high nibble, j = 0..3.
//   3 bits: three tiles are 16 rows x 32 inputs in 192 bytes. Byte 4*r + j of tile t holds input
//           8*t + j of row r in bits 0..2, input 8*t + 4 + j in bits 3..5, and in bits 6..7 two
//           bits, those of tile 0 the lowest, of six in all: input 24 + j, above it input 28 + j.
//   2 bits: a tile is 16 rows x 16 inputs in 64 bytes. Byte 4*r + j holds inputs j, 4 + j, 8 + j
//           and 12 + j of row r, from its lowest bits on.
//
// Codes of less than 8 bits are unsigned; the weight is (code - zero) * scale. Where the format has
// no zero points, zero is the centre: 8, 4 or 2. Codes then reach one step further down than up; of
// 2 and 3 bits, where that is much, a scale may be negative, so that they reach further up.
// formats/tile_codes.h finds single codes.
//
// Scales are f16 [block][group][16 rows]; zero points, u8 [block][group][16 rows], codes as well.
// Rows are padded to 16 (codes of weight zero, scale 0), inputs to a multiple of the group.
//
// f8e4m3 is row-major: FP8 codes (rows, inputs padded to 128 with code 0), then f32 scales
// (rows, groups of 128). E4M3 has a sign, 4 bits of exponent (bias 7), 3 of mantissa, no infinity;
// 0x7F and 0xFF are NaN and no codes here. The weight is value * scale, 0 <= scale <= 2^119.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/tile.h"

namespace pocketr1 {

struct WeightFormatTraits {
  WeightFormat format;
  std::string_view name;  // as written in bundle.json
  unsigned bits;          // per code, or per element when row-major
  unsigned group_size;    // inputs that share a scale; 0: row-major
  bool zero_points;
  bool float8() const { return format == WeightFormat::f8e4m3; }
  bool tiled() const { return group_size != 0 && !float8(); }
  // Below 8 bits: the largest code and zero point; the zero point where none is stored.
  unsigned largest_code() const { return (1U << bits) - 1; }
  unsigned centre() const { return bits == 8 ? 0 : 1U << (bits - 1); }
  bool signed_scales() const { return bits < 4 && !zero_points; }
  // Of a block's codes, for inputs padded to the group.
  std::size_t block_bytes(std::size_t padded_cols) const {
    return padded_cols * kTileRows * bits / 8;
  }
};

std::span<const WeightFormatTraits> weight_formats();
const WeightFormatTraits& traits(WeightFormat format);
// The format of that name, or nullptr.
const WeightFormatTraits* find_weight_format(std::string_view name);

// The largest scale of f8e4m3: the largest weight, 448 times it, is finite in f32.
constexpr float kLargestFloat8Scale = 0x1p119F;

// Bytes of `rows` x `cols` weights. `rows` is padded to 16 and `cols` to the group when tiled; in
// f8e4m3 `cols` alone.
// Scales start right behind the codes, zero points right behind the scales.
struct PackedSize {
  std::size_t codes;
  std::size_t scales;
  std::size_t zeros;
  std::size_t total() const { return codes + scales + zeros; }
};
// Throws Error("size-overflow") where a product does not fit in 63 bits.
PackedSize packed_size(WeightFormat format, std::uint64_t rows, std::uint64_t cols);

}  // namespace pocketr1
