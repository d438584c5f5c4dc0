// One block of quantization: 16 rows of a matrix, all their groups. One generic body
// (quantize_block.inl) is compiled once per instruction set and gives the same bytes on each.
// This header is seen by files built with target flags: nothing here may instantiate a template.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1 {

enum class SourceType : std::uint8_t { f32, f16, bf16 };

struct QuantizeBlockJob {
  const void* rows;  // (row_count, cols) elements of `type`, row-major, `cols` apart
  SourceType type;
  std::size_t row_count;  // 1..16
  std::size_t cols;
  unsigned bits;            // 8, 4, 3 or 2
  std::size_t group_size;   // 32, 64 or 128
  bool zero_points;         // not in 8 bits
  std::uint8_t* codes;      // this block's tiles, 64-byte units
  std::uint8_t* scales;     // this block's f16 [groups][16]
  std::uint8_t* zeros;      // this block's u8 [groups][16]; unused without zero points
  const float* importance;  // (cols): what a squared error at each input counts; nullptr: all alike
};

enum class RowStatus : std::uint8_t { good, not_finite, too_large };

struct QuantizeBlockResult {
  double sum_sq_error;  // sum of (w - dequantized)^2 over rows x cols
  double sum_sq;        // sum of w^2
  double max_abs;       // largest |w - dequantized|
  RowStatus status[16];
};

using QuantizeBlock = void (*)(const QuantizeBlockJob& job, QuantizeBlockResult& result);

void quantize_block_scalar(const QuantizeBlockJob& job, QuantizeBlockResult& result);
void quantize_block_avx2(const QuantizeBlockJob& job, QuantizeBlockResult& result);
void quantize_block_avx512_vnni(const QuantizeBlockJob& job, QuantizeBlockResult& result);

}  // namespace pocketr1
