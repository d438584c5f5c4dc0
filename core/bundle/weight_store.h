// What a decoder sees of its weights, wherever they come from: a table of tensors, cut into parts
// that lie in segments, and a provider that hands the bytes of a segment out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "formats/weight_format.h"

namespace pocketr1 {

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

// Hands out the bytes of segments. Both calls are safe from any thread.
class WeightProvider {
 public:
  virtual ~WeightProvider() = default;
  // The segment's bytes, valid until the matching release().
  virtual const std::uint8_t* acquire(std::uint32_t segment) = 0;
  virtual void release(std::uint32_t segment) noexcept = 0;
};

struct WeightStore {
  std::vector<TensorRef> tensors;
  std::vector<SegmentRef> segments;
  std::shared_ptr<WeightProvider> provider;
};

}  // namespace pocketr1
