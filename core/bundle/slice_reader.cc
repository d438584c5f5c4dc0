#include "bundle/slice_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace pocketr1 {
namespace {

// What direct reads align offset, length and address to: enough for any storage in use.
constexpr std::size_t kBlock = 4096;
constexpr std::size_t kCacheLine = 64;

constexpr std::uint64_t down(std::uint64_t value) { return value / kBlock * kBlock; }
constexpr std::uint64_t up(std::uint64_t value) { return down(value + kBlock - 1); }

std::uint8_t* up(std::uint8_t* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return address + (up(value) - value);
}

}  // namespace

SliceReader::SliceReader(const WeightStore& store) : store_(store) {
  for (std::uint32_t i = 0; i < store.segments.size(); ++i) {
    const File* file = store.provider->file(i);
    if (file == nullptr || direct_files_.contains(file)) continue;
    Descriptor descriptor = file->open_direct();
    if (descriptor.valid()) direct_files_.emplace(file, std::move(descriptor));
  }
}

std::size_t SliceReader::buffer_size(const WeightSlice& slice) {
  // Each range may begin and end inside a block.
  return static_cast<std::size_t>(up(slice.size.total())) + 3 * 3 * kBlock;
}

bool SliceReader::knows_direct(const WeightSlice& slice) const {
  return direct_files_.contains(store_.provider->file(slice.rows.segment));
}

bool SliceReader::read_direct(const File& file, int descriptor, std::uint64_t offset,
                              std::size_t size, std::uint8_t* buffer) const {
  const std::uint64_t begin = down(offset);
  const std::uint64_t end = up(offset + size);
  const std::uint64_t needed = offset + size - begin;
  for (std::uint64_t done = 0; done < needed;) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(end - begin - done, kLargestRead));
    const ssize_t got = ::pread(descriptor, buffer + done, count, static_cast<off_t>(begin + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL) return false;
    if (got < 0) file.fail(std::system_category().message(errno));
    done += static_cast<std::uint64_t>(got);
    // Only the end of the file is no whole block.
    if (done < needed && (got == 0 || done % kBlock != 0)) {
      file.fail("became shorter while it was read");
    }
  }
  return true;
}

const std::uint8_t* SliceReader::read(const WeightSlice& slice, std::uint8_t* buffer) const {
  const SegmentRef& segment = store_.segments[slice.rows.segment];
  const File* file = store_.provider->file(slice.rows.segment);
  const auto direct = direct_files_.find(file);
  const SliceRanges wanted = ranges(slice);
  std::uint8_t* first = nullptr;
  std::uint8_t* end = buffer;
  for (std::size_t i = 0; i < wanted.count; ++i) {
    const ByteRange& range = wanted.at[i];
    std::uint8_t* here = end;
    if (file != nullptr && direct_.load(std::memory_order_relaxed) &&
        direct != direct_files_.end()) {
      const std::uint64_t at = file->origin() + segment.offset + range.offset;
      std::uint8_t* blocks = up(end);
      if (read_direct(*file, direct->second.get(), at, range.size, blocks)) {
        here = blocks + (at - down(at));
        if (first == nullptr) first = end = here;
        std::memmove(end, here, end == here ? 0 : range.size);
        end += range.size;
        continue;
      }
    }
    if (first == nullptr) first = end;
    for (std::size_t done = 0; done < range.size;) {
      const std::size_t count = std::min(range.size - done, kLargestRead);
      store_.provider->read(slice.rows.segment, range.offset + done, end + done, count);
      done += count;
    }
    if (file != nullptr) file->drop_cache(segment.offset + range.offset, range.size);
    end += range.size;
  }
  // An asset at an odd offset.
  const std::size_t size = slice.size.total();
  if (reinterpret_cast<std::uintptr_t>(first) % kCacheLine != 0) {
    std::memmove(buffer, first, size);
    first = buffer;
  }
  return first;
}

}  // namespace pocketr1
