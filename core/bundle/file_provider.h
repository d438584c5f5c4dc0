// Weights that lie in files: each segment is mapped, or read into memory once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bundle/file.h"
#include "bundle/weight_store.h"

namespace pocketr1 {

struct FileProviderOptions {
  // False: everything is read. True: mapped, except the segments whose bytes would not be aligned
  // (an asset at an odd offset); those are read.
  bool mmap = true;
  std::vector<std::size_t> alignment;  // that the address of each segment needs, in bytes
  // Sees the bytes of a segment that was read, before anybody else; throws to refuse them.
  std::function<void(std::uint32_t segment, const std::uint8_t* bytes)> inspect;
};

// `segments` refer to `files` by index and lie inside them. Bytes that were read stay until the
// provider goes: release() frees nothing.
std::shared_ptr<WeightProvider> make_file_provider(std::vector<std::shared_ptr<const File>> files,
                                                   std::vector<SegmentRef> segments,
                                                   FileProviderOptions options);

}  // namespace pocketr1
