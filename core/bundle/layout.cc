#include "bundle/layout.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/error.h"
#include "base/printable.h"

namespace pocketr1 {
namespace {

constexpr std::int64_t kVersion = 1;
// Far above any weight, and small enough that no product of two and an element overflows.
constexpr std::int64_t kLargestDimension = std::int64_t{1} << 30;

std::string quoted(std::string_view name) { return "\"" + printable(name) + "\""; }

void check_identity(const Json& metadata, const std::string& file_name) {
  const std::optional<Json> format = metadata.find("format");
  if (!format || !format->is_string() || format->string() != "pocketr1.bundle") {
    throw Error("bundle-foreign", file_name, "its \"format\" is not \"pocketr1.bundle\"");
  }
  const std::int64_t version = metadata.at("version").integer();
  if (version != kVersion) {
    throw Error("bundle-version", file_name,
                "it has format version " + std::to_string(version) + ", this program reads " +
                    std::to_string(kVersion));
  }
}

TensorRef read_tensor(const Json& row) {
  TensorRef tensor;
  tensor.name = row.at("name").string();
  const std::string about = "tensor " + quoted(tensor.name) + ": ";
  if (tensor.name.empty() || tensor.name.find('@') != tensor.name.npos ||
      tensor.name.starts_with("padding.")) {
    row.at("name").fail(about + "not a name a tensor can have");
  }
  const WeightFormatTraits* format = find_weight_format(row.at("format").string());
  if (format == nullptr) {
    row.at("format").fail(about + "unknown format " + quoted(row.at("format").string()));
  }
  tensor.format = format->format;
  const Json shape = row.at("shape");
  for (const Json dimension : shape) {
    const std::int64_t value = dimension.integer();
    if (value < 1 || value > kLargestDimension) {
      dimension.fail(about + "a dimension of " + std::to_string(value));
    }
    tensor.shape.push_back(static_cast<std::uint64_t>(value));
  }
  if (tensor.shape.empty() || tensor.shape.size() > 2) {
    shape.fail(about + "must have one or two dimensions");
  }
  if (tensor.shape.size() == 1 && tensor.format != WeightFormat::f32) {
    shape.fail(about + "a vector must have format f32, has " + std::string(format->name));
  }
  return tensor;
}

ShardLayout read_shard(const Json& row, const std::string& file_name) {
  row.only({"file", "size", "chunks"});
  ShardLayout shard;
  shard.file = row.at("file").string();
  if (!shard.file.starts_with("blocks/")) row.at("file").fail("must lie in blocks/");
  shard.size = row.at("size").unsigned_integer();
  if (shard.size > kLargestShard) {
    row.at("size").fail("a shard has at most " + std::to_string(kLargestShard) + " bytes, not " +
                        std::to_string(shard.size));
  }
  for (const Json chunk : row.at("chunks")) {
    chunk.only({"encoding", "sha256"});
    if (chunk.at("encoding").string() != "raw") {
      throw Error("bundle-encoding", file_name,
                  chunk.path() + ": the encoding " + quoted(chunk.at("encoding").string()) +
                      " of " + printable(shard.file) + " is unknown");
    }
    const std::optional<Sha256Digest> digest = digest_from_hex(chunk.at("sha256").string());
    if (!digest) chunk.at("sha256").fail("must be 64 lower-case hexadecimal digits");
    shard.chunks.push_back(*digest);
  }
  const std::uint64_t chunks = (shard.size + kChunkBytes - 1) / kChunkBytes;
  if (shard.chunks.size() != chunks) {
    row.at("chunks").fail("a file of " + std::to_string(shard.size) + " bytes has " +
                          std::to_string(chunks) + " chunks, not " +
                          std::to_string(shard.chunks.size()));
  }
  return shard;
}

// The layer of a tensor's name, "3" of "layers.3.q.weight"; empty for those of none.
std::string_view layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "layers.";
  if (!name.starts_with(kPrefix)) return {};
  name.remove_prefix(kPrefix.size());
  return name.substr(0, name.find('.'));
}

class LayoutReader {
 public:
  LayoutReader(const Json& metadata, const std::string& file_name)
      : layout_{metadata, {}, {}, {}, {}}, file_name_(file_name) {}

  BundleLayout read() {
    const Json& metadata = layout_.metadata;
    check_identity(metadata, file_name_);
    if (!metadata.at("model").is_object()) metadata.at("model").fail("must be an object");
    read_tensors(metadata.at("tensors"));
    read_shards(metadata.at("shards"));
    const Json segments = metadata.at("segments");
    for (const Json row : segments) read_segment(row);
    check_coverage();
    check_segments_apart(segments);
    return std::move(layout_);
  }

 private:
  void read_tensors(const Json& rows) {
    for (const Json row : rows) {
      layout_.tensors.push_back(read_tensor(row));
      const auto index = static_cast<std::uint32_t>(layout_.tensors.size() - 1);
      if (!tensor_index_.emplace(layout_.tensors.back().name, index).second) {
        row.fail("tensor " + quoted(layout_.tensors.back().name) + " is listed twice");
      }
    }
  }

  void read_shards(const Json& rows) {
    std::set<std::string> files;
    for (const Json row : rows) {
      layout_.shards.push_back(read_shard(row, file_name_));
      if (!files.insert(layout_.shards.back().file).second) {
        row.at("file").fail(quoted(layout_.shards.back().file) + " is listed twice");
      }
    }
  }

  void read_segment(const Json& row) {
    row.only({"shard", "offset", "size", "parts"});
    const std::uint64_t shard = row.at("shard").unsigned_integer();
    if (shard >= layout_.shards.size()) row.at("shard").fail("there is no such shard");
    const SegmentRef segment{static_cast<std::uint32_t>(shard), row.at("offset").unsigned_integer(),
                             row.at("size").unsigned_integer()};
    if (segment.offset % kSegmentAlignment != 0) {
      row.at("offset").fail("must be a multiple of " + std::to_string(kSegmentAlignment));
    }
    if (segment.size == 0 || segment.size > kLargestSegment) {
      row.at("size").fail("must be in 1.." + std::to_string(kLargestSegment) + ", is " +
                          std::to_string(segment.size));
    }
    const std::uint64_t shard_size = layout_.shards[shard].size;
    if (segment.offset > shard_size || segment.size > shard_size - segment.offset) {
      row.fail("leaves its shard of " + std::to_string(shard_size) + " bytes");
    }
    layout_.segments.push_back(segment);
    layout_.segment_parts.emplace_back();
    const Json parts = row.at("parts");
    if (parts.size() == 0) parts.fail("a segment without parts");
    std::uint64_t filled = segment.offset;
    for (const Json part : parts) filled = read_part(part, filled);
  }

  // `filled`: where the part before it ends. Returns where this one ends.
  std::uint64_t read_part(const Json& row, std::uint64_t filled) {
    row.only({"tensor", "row", "rows", "offset"});
    const std::string_view name = row.at("tensor").string();
    const auto found = tensor_index_.find(std::string(name));
    if (found == tensor_index_.end()) {
      row.at("tensor").fail("tensor " + quoted(name) + " is not among the tensors");
    }
    TensorRef& tensor = layout_.tensors[found->second];
    std::vector<SegmentPart>& segment_parts = layout_.segment_parts.back();
    const std::string about = "tensor " + quoted(name) + ": ";
    if (!segment_parts.empty() &&
        layer_of(layout_.tensors[segment_parts[0].tensor].name) != layer_of(name)) {
      row.fail(about + "a segment holds tensors of one layer only");
    }

    const std::uint64_t first = row.at("row").unsigned_integer();
    const std::uint64_t rows = row.at("rows").unsigned_integer();
    const std::uint64_t all_rows = matrix_shape(tensor).rows;
    const std::uint64_t expected =
        tensor.parts.empty() ? 0 : tensor.parts.back().row + tensor.parts.back().rows;
    if (first != expected) {
      row.at("row").fail(about + "the part must begin at row " + std::to_string(expected) +
                         ", where the one before it ends, not at row " + std::to_string(first));
    }
    if (first % kTileRows != 0) {
      row.at("row").fail(about + "row " + std::to_string(first) + " is no multiple of " +
                         std::to_string(kTileRows));
    }
    if (rows == 0 || rows > all_rows - first) {
      row.at("rows").fail(about + std::to_string(rows) + " rows from row " + std::to_string(first) +
                          " of " + std::to_string(all_rows));
    }

    if (tensor.shape.size() == 1 && rows != all_rows) {
      row.at("rows").fail(about + "a vector lies in one part, with all its rows");
    }

    const std::uint64_t offset = row.at("offset").unsigned_integer();
    if (offset % kPartAlignment != 0) {
      row.at("offset").fail(about + "offset " + std::to_string(offset) + " is no multiple of " +
                            std::to_string(kPartAlignment));
    }
    if (segment_parts.empty() && offset != filled) {
      row.at("offset").fail(about + "the first part must begin where its segment does, at byte " +
                            std::to_string(filled));
    }
    if (offset < filled) {
      row.at("offset").fail(about + "offset " + std::to_string(offset) +
                            " overlaps what ends at byte " + std::to_string(filled));
    }
    const SegmentRef& segment = layout_.segments.back();
    const PartRef part{first, rows, static_cast<std::uint32_t>(layout_.segments.size() - 1),
                       offset - segment.offset};
    const std::uint64_t size = part_size(tensor, part).total();
    if (part.offset > segment.size || size > segment.size - part.offset) {
      row.fail(about + "its " + std::to_string(size) + " bytes at offset " +
               std::to_string(offset) + " leave the segment, which ends at byte " +
               std::to_string(segment.offset + segment.size));
    }
    segment_parts.push_back({found->second, static_cast<std::uint32_t>(tensor.parts.size())});
    tensor.parts.push_back(part);
    return offset + size;
  }

  void check_coverage() const {
    for (const TensorRef& tensor : layout_.tensors) {
      const std::uint64_t covered =
          tensor.parts.empty() ? 0 : tensor.parts.back().row + tensor.parts.back().rows;
      const std::uint64_t rows = matrix_shape(tensor).rows;
      if (covered != rows) {
        throw Error("bundle-invalid", file_name_,
                    "tensor " + quoted(tensor.name) + ": its parts cover " +
                        std::to_string(covered) + " of " + std::to_string(rows) + " rows");
      }
    }
  }

  void check_segments_apart(const Json& rows) const {
    std::vector<std::size_t> order(layout_.segments.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto place = [&](std::size_t i) {
      return std::pair(layout_.segments[i].file, layout_.segments[i].offset);
    };
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return place(a) < place(b); });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const SegmentRef& before = layout_.segments[order[i - 1]];
      const SegmentRef& segment = layout_.segments[order[i]];
      if (segment.file == before.file && segment.offset < before.offset + before.size) {
        rows[order[i]].fail("overlaps segments[" + std::to_string(order[i - 1]) + "]");
      }
    }
  }

  BundleLayout layout_;
  const std::string& file_name_;
  std::map<std::string, std::uint32_t> tensor_index_;
};

}  // namespace

MatrixShape matrix_shape(const TensorRef& tensor) {
  return {tensor.shape[0], tensor.shape.size() == 2 ? tensor.shape[1] : 1};
}

PackedSize part_size(const TensorRef& tensor, const PartRef& part) {
  return packed_size(tensor.format, part.rows, matrix_shape(tensor).cols);
}

BundleLayout read_layout(std::string_view text, const std::string& file_name) {
  try {
    const Json metadata = Json::parse(text, {.bytes = kLargestMetadata});
    if (!metadata.is_object()) {
      throw Error("bundle-foreign", file_name, "it is not a JSON object");
    }
    return LayoutReader(metadata, file_name).read();
  } catch (const Error& error) {
    if (error.code() != "json-invalid") throw;
    throw Error("bundle-invalid", file_name, error.what());
  }
}

}  // namespace pocketr1
