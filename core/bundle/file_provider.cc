#include "bundle/file_provider.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "base/error.h"

namespace pocketr1 {
namespace {

// Address of the bytes that were read: on a cache line, for every kernel.
constexpr std::size_t kHeapAlignment = 64;

struct Free {
  void operator()(std::uint8_t* bytes) const { std::free(bytes); }
};
using HeapBytes = std::unique_ptr<std::uint8_t, Free>;

struct ReadSegment {
  std::mutex mutex;
  HeapBytes bytes;
};

class FileProvider final : public WeightProvider {
 public:
  FileProvider(std::vector<std::shared_ptr<const File>> files, std::vector<SegmentRef> segments,
               FileProviderOptions options)
      : files_(std::move(files)),
        segments_(std::move(segments)),
        options_(std::move(options)),
        mapped_(segments_.size(), nullptr),
        read_(segments_.size()) {
    if (!options_.mmap) return;
    for (const auto& file : files_) {
      mappings_.push_back(file->map(0, static_cast<std::size_t>(file->size())));
    }
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const std::uint8_t* bytes = mappings_[segments_[i].file].data() + segments_[i].offset;
      if (reinterpret_cast<std::uintptr_t>(bytes) % options_.alignment[i] == 0) mapped_[i] = bytes;
    }
  }

  const std::uint8_t* acquire(std::uint32_t segment) override {
    if (mapped_[segment] != nullptr) return mapped_[segment];
    ReadSegment& place = read_[segment];
    const std::lock_guard lock(place.mutex);
    if (!place.bytes) place.bytes = read(segment);
    return place.bytes.get();
  }

  void release(std::uint32_t) noexcept override {}

  void read(std::uint32_t segment, std::uint64_t offset, void* out,
            std::size_t size) const override {
    files_[segments_[segment].file]->read(segments_[segment].offset + offset, out, size);
  }

  const File* file(std::uint32_t segment) const override {
    return files_[segments_[segment].file].get();
  }

  void forget() noexcept override {
    for (const Mapping& mapping : mappings_) mapping.forget();
    for (ReadSegment& place : read_) place.bytes.reset();
  }

 private:
  HeapBytes read(std::uint32_t segment) const {
    const SegmentRef& place = segments_[segment];
    const File& file = *files_[place.file];
    const auto size = static_cast<std::size_t>(place.size);
    const std::size_t rounded = (size + kHeapAlignment - 1) / kHeapAlignment * kHeapAlignment;
    HeapBytes bytes(static_cast<std::uint8_t*>(
        std::aligned_alloc(kHeapAlignment, rounded == 0 ? kHeapAlignment : rounded)));
    if (!bytes) file.fail("no memory for a segment of " + std::to_string(size) + " bytes");
    file.read(place.offset, bytes.get(), size);
    if (options_.inspect) options_.inspect(segment, bytes.get());
    return bytes;
  }

  std::vector<std::shared_ptr<const File>> files_;
  std::vector<SegmentRef> segments_;
  FileProviderOptions options_;
  std::vector<Mapping> mappings_;            // of whole files
  std::vector<const std::uint8_t*> mapped_;  // by segment; nullptr: to be read
  std::vector<ReadSegment> read_;
};

}  // namespace

std::shared_ptr<WeightProvider> make_file_provider(std::vector<std::shared_ptr<const File>> files,
                                                   std::vector<SegmentRef> segments,
                                                   FileProviderOptions options) {
  return std::make_shared<FileProvider>(std::move(files), std::move(segments), std::move(options));
}

}  // namespace pocketr1
