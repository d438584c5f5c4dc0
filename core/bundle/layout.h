// What bundle.json says about shards, segments, parts and tensors, checked as far as it can be
// without the shards, and then against their headers. docs/reference/bundle-format.md
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/sha256.h"
#include "bundle/safetensors.h"
#include "bundle/weight_store.h"

namespace pocketr1 {

inline constexpr std::uint64_t kLargestMetadata = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kLargestShard = 512'000'000;
inline constexpr std::uint64_t kLargestSegment = 32'000'000;
inline constexpr std::uint64_t kSegmentAlignment = 16'384;
inline constexpr std::uint64_t kPartAlignment = 64;
inline constexpr std::uint64_t kChunkBytes = std::uint64_t{4} << 20;

struct ShardLayout {
  std::string file;  // "blocks/00000.safetensors"
  std::uint64_t size;
  std::vector<Sha256Digest> chunks;  // of each kChunkBytes of the file
};

// A part of a segment: BundleLayout::tensors[tensor].parts[part].
struct SegmentPart {
  std::uint32_t tensor;
  std::uint32_t part;
};

struct BundleLayout {
  Json metadata;
  std::vector<ShardLayout> shards;
  std::vector<TensorRef> tensors;
  std::vector<SegmentRef> segments;                     // SegmentRef::file is the shard's index
  std::vector<std::vector<SegmentPart>> segment_parts;  // of each segment, in order of offset
};

// Rows of a tensor and inputs of one: a vector of n is n rows of one.
struct MatrixShape {
  std::uint64_t rows;
  std::uint64_t cols;
};
MatrixShape matrix_shape(const TensorRef& tensor);
PackedSize part_size(const TensorRef& tensor, const PartRef& part);

// Throws Error("bundle-invalid" | "bundle-foreign" | "bundle-version" | "bundle-encoding",
// file_name, reason); the reason names the value and, where it is about one, the tensor.
BundleLayout read_layout(std::string_view text, const std::string& file_name);

// Throws Error("bundle-invalid", file_name, reason) where the shard's header lists anything else
// than the layout.
void check_shard_header(const BundleLayout& layout, std::uint32_t shard,
                        const std::vector<SafetensorsEntry>& entries, const std::string& file_name);

}  // namespace pocketr1
