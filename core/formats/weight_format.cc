#include "formats/weight_format.h"

#include <array>

#include "base/error.h"

namespace pocketr1 {
namespace {

using enum WeightFormat;
constexpr std::array<WeightFormatTraits, 25> kFormats{{
    {f32, "f32", 32, 0, false},
    {f16, "f16", 16, 0, false},
    {bf16, "bf16", 16, 0, false},
    {w8g32, "w8g32", 8, 32, false},
    {w8g64, "w8g64", 8, 64, false},
    {w8g128, "w8g128", 8, 128, false},
    {w4g32, "w4g32", 4, 32, false},
    {w4g64, "w4g64", 4, 64, false},
    {w4g128, "w4g128", 4, 128, false},
    {w4g32z, "w4g32z", 4, 32, true},
    {w4g64z, "w4g64z", 4, 64, true},
    {w4g128z, "w4g128z", 4, 128, true},
    {w3g32, "w3g32", 3, 32, false},
    {w3g64, "w3g64", 3, 64, false},
    {w3g128, "w3g128", 3, 128, false},
    {w3g32z, "w3g32z", 3, 32, true},
    {w3g64z, "w3g64z", 3, 64, true},
    {w3g128z, "w3g128z", 3, 128, true},
    {w2g32, "w2g32", 2, 32, false},
    {w2g64, "w2g64", 2, 64, false},
    {w2g128, "w2g128", 2, 128, false},
    {w2g32z, "w2g32z", 2, 32, true},
    {w2g64z, "w2g64z", 2, 64, true},
    {w2g128z, "w2g128z", 2, 128, true},
    {f8e4m3, "f8e4m3", 8, kFloat8Group, false},
}};

// Sizes above this are refused before any product of them is formed.
constexpr std::uint64_t kLargestDimension = std::uint64_t{1} << 30;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

std::span<const WeightFormatTraits> weight_formats() { return kFormats; }

const WeightFormatTraits& traits(WeightFormat format) {
  return kFormats[static_cast<std::size_t>(format)];
}

const WeightFormatTraits* find_weight_format(std::string_view name) {
  for (const WeightFormatTraits& row : kFormats) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

PackedSize packed_size(WeightFormat format, std::uint64_t rows, std::uint64_t cols) {
  if (rows > kLargestDimension || cols > kLargestDimension) {
    throw Error("size-overflow", "", "a dimension above 2^30 is not a weight");
  }
  const WeightFormatTraits& t = traits(format);
  if (t.float8()) {
    const std::uint64_t groups = round_up(cols, t.group_size) / t.group_size;
    return {static_cast<std::size_t>(rows * groups * t.group_size),
            static_cast<std::size_t>(rows * groups * sizeof(float)), 0};
  }
  if (!t.tiled()) return {static_cast<std::size_t>(rows * cols * (t.bits / 8)), 0, 0};
  const std::uint64_t padded_rows = round_up(rows, kTileRows);
  const std::uint64_t padded_cols = round_up(cols, t.group_size);
  const std::uint64_t scale_count = padded_rows * (padded_cols / t.group_size);
  return {static_cast<std::size_t>(padded_rows * padded_cols * t.bits / 8),
          static_cast<std::size_t>(scale_count * 2),
          t.zero_points ? static_cast<std::size_t>(scale_count) : 0};
}

}  // namespace pocketr1
