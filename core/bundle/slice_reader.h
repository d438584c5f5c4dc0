// Reads slices from where a store's weights lie: past the page cache, or through it without leaving
// anything there.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "bundle/file.h"
#include "bundle/weight_slice.h"

namespace pocketr1 {

class SliceReader {
 public:
  static constexpr std::size_t kLargestRead = std::size_t{8} << 20;

  // The store stays where it is.
  explicit SliceReader(const WeightStore& store);

  // Bytes of a buffer that read() can fill with this slice.
  static std::size_t buffer_size(const WeightSlice& slice);
  // Whether the file of a slice can be read past the page cache.
  bool knows_direct(const WeightSlice& slice) const;
  void set_direct(bool direct) { direct_.store(direct, std::memory_order_relaxed); }
  bool direct() const { return direct_.load(std::memory_order_relaxed); }

  // Reads a slice into `buffer`, which begins on a page boundary; returns where in it the bytes
  // begin. From any number of threads. Throws Error naming the file.
  const std::uint8_t* read(const WeightSlice& slice, std::uint8_t* buffer) const;

 private:
  // Returns false where the file system refuses.
  bool read_direct(const File& file, int descriptor, std::uint64_t offset, std::size_t size,
                   std::uint8_t* buffer) const;

  const WeightStore& store_;
  std::map<const File*, Descriptor> direct_files_;
  std::atomic<bool> direct_{true};
};

}  // namespace pocketr1
