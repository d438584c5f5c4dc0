// A shard's safetensors header, compared with what bundle.json says lies in the shard.
#include <map>

#include "base/error.h"
#include "base/printable.h"
#include "bundle/layout.h"

namespace pocketr1 {
namespace {

// One entry as it must stand in the header.
struct Array {
  std::string tensor;
  std::string_view dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin;
};

std::string_view row_major_dtype(WeightFormat format) {
  switch (format) {
    case WeightFormat::f32:
      return "F32";
    case WeightFormat::f16:
      return "F16";
    default:
      return "BF16";
  }
}

void add_arrays(std::map<std::string, Array>& arrays, const TensorRef& tensor, const PartRef& part,
                std::uint64_t begin) {
  std::string name = tensor.name;
  if (tensor.parts.size() > 1) name += "@" + std::to_string(part.row);
  const WeightFormatTraits& format = traits(tensor.format);
  if (format.group_size == 0) {
    std::vector<std::uint64_t> shape = tensor.shape;
    shape[0] = part.rows;
    arrays.emplace(name, Array{tensor.name, row_major_dtype(tensor.format), shape, begin});
    return;
  }
  const PackedSize size = part_size(tensor, part);
  if (format.float8()) {
    const std::uint64_t padded = size.codes / part.rows;
    const std::uint64_t groups = padded / format.group_size;
    arrays.emplace(name + ".codes", Array{tensor.name, "F8_E4M3", {part.rows, padded}, begin});
    arrays.emplace(name + ".scales",
                   Array{tensor.name, "F32", {part.rows, groups}, begin + size.codes});
    return;
  }
  const std::uint64_t blocks = (part.rows + kTileRows - 1) / kTileRows;
  const std::uint64_t tiles = size.codes / kTileBytes / blocks;
  const std::uint64_t groups = size.scales / 2 / kTileRows / blocks;
  arrays.emplace(name + ".codes", Array{tensor.name, "U8", {blocks, tiles, kTileBytes}, begin});
  arrays.emplace(name + ".scales",
                 Array{tensor.name, "F16", {blocks, groups, kTileRows}, begin + size.codes});
  if (format.zero_points) {
    arrays.emplace(
        name + ".zeros",
        Array{tensor.name, "U8", {blocks, groups, kTileRows}, begin + size.codes + size.scales});
  }
}

bool is_padding(const SafetensorsEntry& entry) {
  constexpr std::string_view kPrefix = "padding.";
  return entry.name.starts_with(kPrefix) && entry.name.size() > kPrefix.size() &&
         entry.name.find_first_not_of("0123456789", kPrefix.size()) == entry.name.npos &&
         entry.dtype == "U8" && entry.shape.size() == 1;
}

}  // namespace

void check_shard_header(const BundleLayout& layout, std::uint32_t shard,
                        const std::vector<SafetensorsEntry>& entries,
                        const std::string& file_name) {
  const auto fail = [&](const std::string& reason) {
    throw Error("bundle-invalid", file_name, reason);
  };
  if (!entries.empty() && entries.front().begin % kSegmentAlignment != 0) {
    fail("its data begins at byte " + std::to_string(entries.front().begin) +
         ", not on a multiple of " + std::to_string(kSegmentAlignment));
  }
  std::map<std::string, Array> arrays;
  std::size_t expected = 0;
  for (std::size_t s = 0; s < layout.segments.size(); ++s) {
    if (layout.segments[s].file != shard) continue;
    for (const SegmentPart& place : layout.segment_parts[s]) {
      const TensorRef& tensor = layout.tensors[place.tensor];
      const PartRef& part = tensor.parts[place.part];
      add_arrays(arrays, tensor, part, layout.segments[s].offset + part.offset);
      const WeightFormatTraits& format = traits(tensor.format);
      expected += format.group_size == 0 ? 1 : format.zero_points ? 3 : 2;
      if (arrays.size() != expected) {
        fail("tensor \"" + printable(tensor.name) + "\": another tensor's arrays have its name");
      }
    }
  }
  for (const SafetensorsEntry& entry : entries) {
    const auto found = arrays.find(entry.name);
    if (found == arrays.end()) {
      if (is_padding(entry)) continue;
      fail("its header lists \"" + printable(entry.name) + "\", which bundle.json does not");
    }
    const Array& array = found->second;
    const std::string about = "tensor \"" + printable(array.tensor) + "\": the header's entry \"" +
                              printable(entry.name) + "\" ";
    if (entry.dtype != array.dtype) {
      fail(about + "has type " + printable(entry.dtype) + ", not " + std::string(array.dtype));
    }
    if (entry.shape != array.shape) fail(about + "has another shape than bundle.json says");
    if (entry.begin != array.begin) {
      fail(about + "begins at byte " + std::to_string(entry.begin) + ", bundle.json says " +
           std::to_string(array.begin));
    }
    arrays.erase(found);
  }
  if (!arrays.empty()) {
    fail("tensor \"" + printable(arrays.begin()->second.tensor) + "\": its header lacks \"" +
         printable(arrays.begin()->first) + "\"");
  }
}

}  // namespace pocketr1
