// bundle.json, and a shard's header behind it after a zero byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bundle/layout.h"

using namespace pocketr1;

namespace {

// What every user of a layout relies on.
void check_consistent(const BundleLayout& layout) {
  for (const TensorRef& tensor : layout.tensors) {
    std::uint64_t row = 0;
    for (const PartRef& part : tensor.parts) {
      const SegmentRef& segment = layout.segments.at(part.segment);
      const ShardLayout& shard = layout.shards.at(segment.file);
      const std::uint64_t size = part_size(tensor, part).total();
      if (part.row != row || part.rows == 0 || part.offset % kPartAlignment != 0 ||
          segment.offset % kSegmentAlignment != 0 || part.offset > segment.size ||
          size > segment.size - part.offset || segment.size > kLargestSegment ||
          segment.offset > shard.size || segment.size > shard.size - segment.offset) {
        std::abort();
      }
      row += part.rows;
    }
    if (row != tensor.shape.at(0)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = input.find('\0');
  try {
    const BundleLayout layout = read_layout(input.substr(0, cut), "bundle.json");
    check_consistent(layout);
    if (cut == input.npos || layout.shards.empty()) return 0;
    const std::string_view header = input.substr(cut + 1);
    // As if padded to the first boundary that holds it.
    const std::uint64_t begin =
        (8 + header.size() + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
    if (begin > layout.shards[0].size) return 0;
    const std::vector<SafetensorsEntry> entries =
        parse_safetensors_header(header, begin, layout.shards[0].size, "shard");
    check_shard_header(layout, 0, entries, "shard");
    for (std::size_t i = 0; i < layout.segments.size(); ++i) {
      if (layout.segments[i].file == 0 && layout.segments[i].offset < begin) std::abort();
    }
  } catch (const Error& error) {
    if (error.where().empty() || error.reason().empty()) std::abort();
  }
  return 0;
}
