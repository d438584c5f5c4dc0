#include "bundle/values.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/printable.h"

namespace pocketr1 {
namespace {

constexpr std::uint16_t kLargestFiniteHalf = 0x7BFF;  // above it: infinity, NaN, the sign bit

// "row 17, group 3" of entry `index` of an array [block][group][16 rows].
std::string place(const PartRef& part, std::uint64_t groups, std::uint64_t index) {
  const std::uint64_t block = index / (groups * kTileRows);
  const std::uint64_t group = index / kTileRows % groups;
  const std::uint64_t row = part.row + block * kTileRows + index % kTileRows;
  return "row " + std::to_string(row) + ", group " + std::to_string(group);
}

// FP8: no NaN among the codes, scales from 0 to kLargestFloat8Scale.
void check_float8(const TensorRef& tensor, const PartRef& part, const std::uint8_t* bytes,
                  const std::string& file_name) {
  const std::string about = "tensor \"" + printable(tensor.name) + "\": ";
  const PackedSize size = part_size(tensor, part);
  const std::uint8_t* end = bytes + size.codes;
  const std::uint8_t* nan =
      std::find_if(bytes, end, [](std::uint8_t code) { return (code & 0x7F) == 0x7F; });
  if (nan != end) {
    const std::uint64_t row = static_cast<std::uint64_t>(nan - bytes) / (size.codes / part.rows);
    throw Error("bundle-codes", file_name,
                about + "a code that is not a number in row " + std::to_string(part.row + row));
  }
  const std::uint64_t groups = size.scales / sizeof(float) / part.rows;
  for (std::uint64_t i = 0; i < part.rows * groups; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, end + sizeof bits * i, sizeof bits);
    if (bits <= std::bit_cast<std::uint32_t>(kLargestFloat8Scale)) continue;
    const bool finite = (bits & 0x7FFFFFFF) < 0x7F800000;
    const char* what = !finite             ? "a scale that is not finite in row "
                       : bits > 0x7FFFFFFF ? "a negative scale in row "
                                           : "a scale above 2^119 in row ";
    throw Error("bundle-scales", file_name,
                about + what + std::to_string(part.row + i / groups) + ", group " +
                    std::to_string(i % groups));
  }
}

}  // namespace

void check_part_values(const TensorRef& tensor, const PartRef& part, const std::uint8_t* bytes,
                       const std::string& file_name) {
  const WeightFormatTraits& format = traits(tensor.format);
  if (format.float8()) return check_float8(tensor, part, bytes, file_name);
  if (!format.tiled()) return;
  const std::string about = "tensor \"" + printable(tensor.name) + "\": ";
  const PackedSize size = part_size(tensor, part);
  const std::uint64_t blocks = (part.rows + kTileRows - 1) / kTileRows;
  const std::uint64_t groups = size.scales / 2 / kTileRows / blocks;

  if (format.bits == 8) {
    const void* found = std::memchr(bytes, 0x80, size.codes);
    if (found != nullptr) {
      const auto at = static_cast<const std::uint8_t*>(found) - bytes;
      throw Error("bundle-codes", file_name,
                  about + "code -128 at byte " + std::to_string(at) + " of the part at row " +
                      std::to_string(part.row));
    }
  }
  const std::uint8_t* scales = bytes + size.codes;
  for (std::uint64_t i = 0; i < size.scales / 2; ++i) {
    const auto half = static_cast<std::uint16_t>(scales[2 * i] | scales[2 * i + 1] << 8);
    if (half <= kLargestFiniteHalf) continue;
    const bool finite = (half & 0x7FFF) <= kLargestFiniteHalf;
    if (finite && format.signed_scales()) continue;
    throw Error("bundle-scales", file_name,
                about + (finite ? "a negative scale at " : "a scale that is not finite at ") +
                    place(part, groups, i));
  }
  const std::uint8_t* zeros = scales + size.scales;
  const std::uint8_t* bad = std::find_if(
      zeros, zeros + size.zeros, [&](std::uint8_t zero) { return zero > format.largest_code(); });
  if (bad != zeros + size.zeros) {
    throw Error("bundle-scales", file_name,
                about + "zero point " + std::to_string(*bad) + " at " +
                    place(part, groups, static_cast<std::uint64_t>(bad - zeros)));
  }
}

void check_segment_values(const BundleLayout& layout, std::uint32_t segment,
                          const std::uint8_t* bytes, const std::string& file_name) {
  for (const SegmentPart& member : layout.segment_parts[segment]) {
    const TensorRef& tensor = layout.tensors[member.tensor];
    const PartRef& part = tensor.parts[member.part];
    check_part_values(tensor, part, bytes + part.offset, file_name);
  }
}

}  // namespace pocketr1
