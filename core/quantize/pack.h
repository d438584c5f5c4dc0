// A part in a tile format, to and from arrays in row-major order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/weight_format.h"

namespace pocketr1 {

// Row-major, without the file's padding. Codes are signed bytes in 8 bits (-127..127) and unsigned
// ones below, E4M3 in f8e4m3. Where the format has no zero points, they are the centre: 8, 4 or 2
// in 4, 3 or 2 bits, 0 in 8.
struct UnpackedRows {
  std::span<std::uint8_t> codes;  // (rows, cols)
  std::span<float> scales;        // (rows, groups)
  std::span<std::uint8_t> zeros;  // (rows, groups)
};

std::size_t group_count(WeightFormat format, std::size_t cols);

// Throws Error("quantize-unsupported") where the format has no scales or a size differs.
void unpack_rows(std::span<const std::uint8_t> part, WeightFormat format, std::size_t rows,
                 std::size_t cols, const UnpackedRows& unpacked);

// Writes a part; padding as the format asks. Scales are rounded to f16, to nearest even.
// Throws Error("quantize-unsupported") as unpack_rows does, and for a code or zero point out of
// range, a scale that is not finite in f16, or a negative one where the format has none.
void pack_rows(const UnpackedRows& unpacked, WeightFormat format, std::size_t rows,
               std::size_t cols, std::span<std::uint8_t> part);

// The weights a part stands for, (rows, cols); row-major formats too.
void dequantize_rows(std::span<const std::uint8_t> part, WeightFormat format, std::size_t rows,
                     std::size_t cols, std::span<float> values);

}  // namespace pocketr1
