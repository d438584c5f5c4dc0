#include "bundle/weight_slice.h"

#include <algorithm>

namespace pocketr1 {

WeightSlice slice_part(const TensorRef& tensor, const PartRef& part, std::uint64_t row,
                       std::uint64_t rows) {
  const std::uint64_t cols = tensor.shape[1];
  const PackedSize all = packed_size(tensor.format, part.rows, cols);
  const PackedSize before = packed_size(tensor.format, row - part.row, cols);
  const std::uint64_t scales = part.offset + all.codes;
  return {&tensor,
          {row, rows, part.segment, part.offset},
          packed_size(tensor.format, rows, cols),
          part.offset + before.codes,
          scales + before.scales,
          scales + all.scales + before.zeros};
}

SliceRanges ranges(const WeightSlice& slice) {
  const ByteRange all[] = {{slice.codes, slice.size.codes},
                           {slice.scales, slice.size.scales},
                           {slice.zeros, slice.size.zeros}};
  SliceRanges result{{}, 0};
  for (const ByteRange& range : all) {
    if (range.size == 0) continue;
    ByteRange* last = result.count == 0 ? nullptr : &result.at[result.count - 1];
    if (last != nullptr && last->offset + last->size == range.offset) {
      last->size += range.size;
    } else {
      result.at[result.count++] = range;
    }
  }
  return result;
}

void read_slice(const WeightProvider& provider, const WeightSlice& slice, std::uint8_t* out) {
  const SliceRanges wanted = ranges(slice);
  for (std::size_t i = 0; i < wanted.count; ++i) {
    provider.read(slice.rows.segment, wanted.at[i].offset, out, wanted.at[i].size);
    out += wanted.at[i].size;
  }
}

std::vector<WeightSlice> cut_matrix(const TensorRef& tensor, std::uint64_t step) {
  std::vector<WeightSlice> slices;
  for (const PartRef& part : tensor.parts) {
    const std::uint64_t end = part.row + part.rows;
    for (std::uint64_t row = part.row; row < end;) {
      const std::uint64_t next = std::min(end, (row / step + 1) * step);
      slices.push_back(slice_part(tensor, part, row, next - row));
      row = next;
    }
  }
  return slices;
}

double row_bytes(const TensorRef& tensor) {
  constexpr std::uint64_t kRows = kTileRows;
  return static_cast<double>(packed_size(tensor.format, kRows, tensor.shape[1]).total()) / kRows;
}

}  // namespace pocketr1
