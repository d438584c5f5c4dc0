// What a decoder sees of its weights, wherever they come from: a table of tensors, cut into parts
// that lie in segments, and a provider that hands the bytes of a segment out or copies some of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/weight_format.h"

namespace pocketr1 {

class File;

struct PartRef {
  std::uint64_t row;  // first row; a multiple of 16 when the tensor has several parts
  std::uint64_t rows;
  std::uint32_t segment;
  std::uint64_t offset;  // from the start of the segment
};

struct TensorRef {
  std::string name;
  WeightFormat format;
  std::vector<std::uint64_t> shape;  // (rows, cols), or (n) for a vector
  std::vector<PartRef> parts;        // cover the rows in order
};

struct SegmentRef {
  std::uint32_t file;
  std::uint64_t offset;  // bytes from the start of the file
  std::uint64_t size;
};

// Hands out the bytes of segments. Safe from any thread, but for forget().
class WeightProvider {
 public:
  virtual ~WeightProvider() = default;
  // The segment's bytes, valid until the matching release().
  virtual const std::uint8_t* acquire(std::uint32_t segment) = 0;
  virtual void release(std::uint32_t segment) noexcept = 0;
  // Copies bytes of a segment; nothing stays in memory for it.
  virtual void read(std::uint32_t segment, std::uint64_t offset, void* out,
                    std::size_t size) const = 0;
  // The file a segment lies in, for a reader with buffers of its own; nullptr where there is none.
  virtual const File* file(std::uint32_t) const { return nullptr; }
  // Gives back the memory it holds, which acquire() takes again. Not while a segment is acquired.
  virtual void forget() noexcept {}
};

struct WeightStore {
  std::vector<TensorRef> tensors;
  std::vector<SegmentRef> segments;
  std::shared_ptr<WeightProvider> provider;
  // Sees rows of a part as they were read, the codes, scales and zero points of these rows behind
  // each other; throws to refuse them. None: they are taken as they are.
  std::function<void(const TensorRef& tensor, const PartRef& rows, const std::uint8_t* bytes)>
      check;
};

}  // namespace pocketr1
