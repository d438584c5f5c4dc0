// How fast this machine brings weights to its cores: what decoding one token at a time waits for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "formats/weight_format.h"
#include "ops/context.h"
#include "ops/linear.h"

namespace pocketr1 {

// Bytes that were passed over once, and how long it took.
struct ProbePass {
  std::size_t bytes;
  double seconds;
};

// A buffer to be read again and again; larger than the last cache, it comes from memory each time.
class MemoryProbe {
 public:
  // Takes `bytes` of memory, at least kMatrixCols rows of them, and writes every page. `isa` as for
  // select_kernels. Throws Error("threads"), Error("isa-unsupported"), std::bad_alloc.
  MemoryProbe(std::size_t bytes, unsigned threads, const char* isa);

  // Adds up all 64-bit words of the buffer: the bandwidth of reading.
  ProbePass read();
  // What the last read() added up, modulo 2^64.
  std::uint64_t sum() const { return sum_; }

  // Multiplies one row of activations by matrices that lie one behind the other in the buffer, as
  // decoding does; `format` is tiled. The bytes are those of whole matrices.
  ProbePass multiply(WeightFormat format);
  // The outputs of the last matrix of multiply(); each weight's code and scale are the same.
  const float* outputs() const { return outputs_.data(); }

  static constexpr std::size_t kMatrixRows = 2048;
  static constexpr std::size_t kMatrixCols = 4096;
  static constexpr std::uint8_t kByte = 0x2c;  // as f16, 0x2c2c is 0.0652: an ordinary scale

 private:
  AlignedBuffer<std::uint8_t> buffer_;
  AlignedBuffer<float> activations_;  // (kMatrixCols), all 1
  AlignedBuffer<float> outputs_;      // (kMatrixRows)
  ThreadPool pool_;
  KernelTrace trace_;
  Context context_;
  LinearInput::Workspace workspace_;
  std::uint64_t sum_ = 0;
};

}  // namespace pocketr1
