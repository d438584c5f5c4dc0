// Tensors where they lie in files: of an uncompressed checkpoint, or packed ones of a job at work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bundle/weight_store.h"

namespace pocketr1 {

struct CheckpointTensor {
  std::string name;                  // canonical: "layers.0.q.weight"
  WeightFormat format;               // packed: all rows in one part, as quantize_rows writes it
  std::vector<std::uint64_t> shape;  // (rows, cols) or (n)
  std::uint32_t file;                // index into `files`
  std::uint64_t offset;              // bytes from the start of that file
};

// One segment and one part per tensor. With `mmap`, tensors are mapped as they are; one whose
// offset is no multiple of its element's size (packed: of 64) is read into memory.
// Throws Error("safetensors-unreadable" | "safetensors-invalid", file, reason).
WeightStore open_checkpoint(const std::vector<std::string>& files,
                            const std::vector<CheckpointTensor>& tensors, bool mmap);

}  // namespace pocketr1
