// f8e4m3: choosing scales and codes, and the part to and from arrays in row-major order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quantize/float8_scale.h"
#include "quantize/pack.h"
#include "quantize/quantize_block.h"

namespace pocketr1 {

// One row: codes (cols padded to 128, to the nearest) and scales (groups; 0 where all is zero).
QuantizeBlockResult quantize_float8_row(std::span<const float> row, Float8Scale choose_scale,
                                        std::uint8_t* codes, float* scales);

// As in pack.h; zero points are 0.
void unpack_float8(std::span<const std::uint8_t> part, std::size_t rows, std::size_t cols,
                   const UnpackedRows& unpacked);
void pack_float8(const UnpackedRows& unpacked, std::size_t rows, std::size_t cols,
                 std::span<std::uint8_t> part);
void dequantize_float8(std::span<const std::uint8_t> part, std::size_t rows, std::size_t cols,
                       std::span<float> values);

}  // namespace pocketr1
