// Rows of a weight matrix as they are read, kept and given back: the unit of streaming.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bundle/weight_store.h"

namespace pocketr1 {

// Rows of one part; their codes, scales and zero points lie apart in the file and are put together
// in memory, as a part of that many rows.
struct WeightSlice {
  const TensorRef* tensor;
  PartRef rows;  // its offset is the part's
  PackedSize size;
  // Where codes, scales and zero points lie: offsets from the start of the segment.
  std::uint64_t codes;
  std::uint64_t scales;
  std::uint64_t zeros;
};

// The rows [row, row + rows) of the tensor's part, both multiples of 16 where it is tiled, or up to
// the part's end.
WeightSlice slice_part(const TensorRef& tensor, const PartRef& part, std::uint64_t row,
                       std::uint64_t rows);

// Bytes of a segment.
struct ByteRange {
  std::uint64_t offset;
  std::size_t size;
};
struct SliceRanges {
  ByteRange at[3];
  std::size_t count;
};
// Where the bytes of a slice lie, in the order in which they go into memory.
SliceRanges ranges(const WeightSlice& slice);

// Copies the bytes of a slice: few, such as those of one row.
void read_slice(const WeightProvider& provider, const WeightSlice& slice, std::uint8_t* out);

// All rows of a matrix in order, cut where parts end and at every multiple of `step` rows.
std::vector<WeightSlice> cut_matrix(const TensorRef& tensor, std::uint64_t step);

// Bytes of one row, scales and zero points included.
double row_bytes(const TensorRef& tensor);

}  // namespace pocketr1
