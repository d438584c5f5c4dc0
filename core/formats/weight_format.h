// Every layout a weight can have on disk and in memory: one trait row each.
//
// Row-major formats (f32, f16, bf16) keep a matrix (rows, cols) as it is in its checkpoint.
// Tile formats cut it into blocks of 16 output rows; within a block the tiles follow the inputs:
//
//   4 bits: a tile is 16 rows x 8 inputs in 64 bytes. Byte 4*r + j holds input j of row r in its
//           low nibble and input 4 + j in its high nibble, j = 0..3. Codes are unsigned; the weight
//           is (code - zero) * scale, zero = 8 where the format has no zero points.
//   8 bits: a tile is 16 rows x 4 inputs in 64 bytes. Byte 4*r + j is input j of row r, signed,
//           -127..127; the weight is code * scale.
//
// Scales are f16 [block][group][16 rows]; zero points, u8 [block][group][16 rows], 0..15.
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
  std::size_t tile_inputs() const { return bits == 4 ? 8 : 4; }
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
