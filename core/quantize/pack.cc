#include "quantize/pack.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/half.h"
#include "formats/tile_codes.h"
#include "quantize/float8.h"

namespace pocketr1 {
namespace {

[[noreturn]] void unsupported(const std::string& reason) {
  throw Error("quantize-unsupported", "", reason);
}

// Where each value of a part lies.
class PartLayout {
 public:
  PartLayout(WeightFormat format, std::size_t rows, std::size_t cols)
      : traits_(traits(format)), size_(packed_size(format, rows, cols)) {
    if (!traits_.tiled()) unsupported(std::string(traits_.name) + " has no codes");
    groups_ = group_count(format, cols);
    blocks_ = (rows + kTileRows - 1) / kTileRows;
  }

  std::size_t groups() const { return groups_; }
  std::size_t padded_rows() const { return blocks_ * kTileRows; }
  std::size_t padded_cols() const { return groups_ * traits_.group_size; }
  const PackedSize& size() const { return size_; }

  // Where a row's block of codes begins, in bytes.
  std::size_t block(std::size_t row) const {
    return row / kTileRows * traits_.block_bytes(padded_cols());
  }
  // Of a scale or zero point, in elements.
  std::size_t group_index(std::size_t row, std::size_t group) const {
    return ((row / kTileRows) * groups_ + group) * kTileRows + row % kTileRows;
  }

 private:
  const WeightFormatTraits& traits_;
  PackedSize size_;
  std::size_t groups_ = 0;
  std::size_t blocks_ = 0;
};

void check_sizes(std::size_t part, const UnpackedRows& unpacked, const PartLayout& layout,
                 std::size_t rows, std::size_t cols) {
  if (part != layout.size().total()) {
    unsupported("the part has " + std::to_string(part) + " bytes, not " +
                std::to_string(layout.size().total()));
  }
  const std::size_t groups = rows * layout.groups();
  if (unpacked.codes.size() != rows * cols || unpacked.scales.size() != groups ||
      unpacked.zeros.size() != groups) {
    unsupported("codes, scales or zero points are not of the weight's shape");
  }
}

std::uint16_t read_u16(const std::uint8_t* from) {
  return static_cast<std::uint16_t>(from[0] | from[1] << 8);
}

}  // namespace

std::size_t group_count(WeightFormat format, std::size_t cols) {
  const std::size_t group = traits(format).group_size;
  return group == 0 ? 0 : (cols + group - 1) / group;
}

void unpack_rows(std::span<const std::uint8_t> part, WeightFormat format, std::size_t rows,
                 std::size_t cols, const UnpackedRows& unpacked) {
  if (traits(format).float8()) return unpack_float8(part, rows, cols, unpacked);
  const PartLayout layout(format, rows, cols);
  check_sizes(part.size(), unpacked, layout, rows, cols);
  const WeightFormatTraits& format_traits = traits(format);
  const auto centre = static_cast<std::uint8_t>(format_traits.centre());
  const std::uint8_t* scales = part.data() + layout.size().codes;
  const std::uint8_t* zeros = scales + layout.size().scales;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t group = 0; group < layout.groups(); ++group) {
      const std::size_t from = layout.group_index(row, group);
      const std::size_t to = row * layout.groups() + group;
      unpacked.scales[to] = f16_to_f32(read_u16(scales + 2 * from));
      unpacked.zeros[to] = format_traits.zero_points ? zeros[from] : centre;
    }
    const std::uint8_t* block = part.data() + layout.block(row);
    for (std::size_t col = 0; col < cols; ++col) {
      unpacked.codes[row * cols + col] = read_code(block, format_traits.bits, row % kTileRows, col);
    }
  }
}

void pack_rows(const UnpackedRows& unpacked, WeightFormat format, std::size_t rows,
               std::size_t cols, std::span<std::uint8_t> part) {
  if (traits(format).float8()) return pack_float8(unpacked, rows, cols, part);
  const PartLayout layout(format, rows, cols);
  check_sizes(part.size(), unpacked, layout, rows, cols);
  const WeightFormatTraits& format_traits = traits(format);
  const auto centre = static_cast<std::uint8_t>(format_traits.centre());
  const unsigned largest = format_traits.largest_code();
  std::memset(part.data(), 0, part.size());
  std::uint8_t* scales = part.data() + layout.size().codes;
  std::uint8_t* zeros = scales + layout.size().scales;
  for (std::size_t row = 0; row < layout.padded_rows(); ++row) {
    std::uint8_t* block = part.data() + layout.block(row);
    for (std::size_t group = 0; group < layout.groups(); ++group) {
      const std::size_t to = layout.group_index(row, group);
      const std::size_t from = row * layout.groups() + group;
      const std::uint16_t scale = row < rows ? f32_to_f16(unpacked.scales[from]) : 0;
      std::uint8_t zero = format_traits.zero_points ? 0 : centre;
      if (row < rows) {
        const bool finite = (scale & 0x7fffU) < 0x7c00U;
        if (!finite || ((scale & 0x8000U) != 0 && !format_traits.signed_scales())) {
          unsupported("the scale of row " + std::to_string(row) + ", group " +
                      std::to_string(group) + " is negative or not finite in f16");
        }
        if (format_traits.zero_points ? unpacked.zeros[from] > largest
                                      : unpacked.zeros[from] != zero) {
          unsupported("the zero point of row " + std::to_string(row) + ", group " +
                      std::to_string(group) + " is out of range");
        }
        zero = unpacked.zeros[from];
      }
      scales[2 * to] = static_cast<std::uint8_t>(scale);
      scales[2 * to + 1] = static_cast<std::uint8_t>(scale >> 8);
      if (format_traits.zero_points) zeros[to] = zero;
      for (std::size_t i = 0; i < format_traits.group_size; ++i) {
        const std::size_t col = group * format_traits.group_size + i;
        std::uint8_t code = zero;
        if (row < rows && col < cols) {
          code = unpacked.codes[row * cols + col];
          if (format_traits.bits == 8 ? code == 0x80 : code > largest) {
            unsupported("the code of row " + std::to_string(row) + ", input " +
                        std::to_string(col) + " is out of range");
          }
        }
        put_code(block, format_traits.bits, row % kTileRows, col, code);
      }
    }
  }
}

void dequantize_rows(std::span<const std::uint8_t> part, WeightFormat format, std::size_t rows,
                     std::size_t cols, std::span<float> values) {
  if (part.size() != packed_size(format, rows, cols).total() || values.size() != rows * cols) {
    unsupported("the part or the values are not of the weight's shape");
  }
  if (traits(format).float8()) return dequantize_float8(part, rows, cols, values);
  if (!traits(format).tiled()) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      switch (format) {
        case WeightFormat::f16:
          values[i] = f16_to_f32(read_u16(part.data() + 2 * i));
          break;
        case WeightFormat::bf16:
          values[i] = bf16_to_f32(read_u16(part.data() + 2 * i));
          break;
        default:
          std::memcpy(&values[i], part.data() + 4 * i, sizeof(float));
      }
    }
    return;
  }
  const PartLayout layout(format, rows, cols);
  const WeightFormatTraits& format_traits = traits(format);
  const int centre = static_cast<int>(format_traits.centre());
  const std::uint8_t* scales = part.data() + layout.size().codes;
  const std::uint8_t* zeros = scales + layout.size().scales;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint8_t* block = part.data() + layout.block(row);
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t group = layout.group_index(row, col / format_traits.group_size);
      const std::uint8_t byte = read_code(block, format_traits.bits, row % kTileRows, col);
      const int zero = format_traits.zero_points ? zeros[group] : centre;
      const int code = format_traits.bits == 8 ? static_cast<std::int8_t>(byte) : byte - zero;
      values[row * cols + col] =
          static_cast<float>(code) * f16_to_f32(read_u16(scales + 2 * group));
    }
  }
}

}  // namespace pocketr1
