// How many int8 products this machine gives at best: what a long prefill could at most reach.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/peak_i8.h"

namespace pocketr1 {

// Multiply-accumulates that were done, and how long they took; none where the instruction set has
// no instruction for them.
struct PeakPass {
  std::uint64_t products;
  double seconds;
};

class PeakProbe {
 public:
  // `isa` as for select_kernels. Throws Error("threads"), Error("isa-unsupported").
  PeakProbe(unsigned threads, const char* isa);

  // Keeps every thread multiplying for some milliseconds.
  PeakPass multiply();

 private:
  unsigned threads_;
  ThreadPool pool_;
  PeakI8Function function_;
};

}  // namespace pocketr1
