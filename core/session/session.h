// Sequences over a model: the one place where a forward pass is run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "session/sampler.h"

namespace pocketr1 {

struct SessionOptions {
  unsigned threads = 1;
  std::size_t max_context = 4096;
  KvFormat kv_format = KvFormat::f16;
  std::string isa;  // empty: POCKETR1_ISA, or the best this CPU has
};

// One thread at a time; cancel() alone may be called from any. What changes sequences or runs the
// model throws Error("usage-busy") while a step runs: called by its hook or its progress callback,
// or by another thread.
class Session {
 public:
  // Throws Error("usage-threads", "usage-context", "isa-unsupported", "threads").
  Session(std::shared_ptr<const Model> model, const SessionOptions& options);

  const Model& model() const { return *model_; }
  const char* isa() const { return kernels_.isa; }
  unsigned threads() const { return pool_.threads(); }
  unsigned active_threads() const { return pool_.active(); }
  // How many of the threads compute from the next step on; the others sleep. The answer does not
  // depend on it. Throws Error("usage-threads") unless 1 <= threads <= threads().
  void set_threads(unsigned threads);
  std::size_t kv_bytes() const { return cache_.bytes(); }
  std::size_t max_context() const { return cache_.max_context(); }

  std::int32_t create_sequence();
  // A new sequence that begins with the first `length` tokens of another. It shares their pages;
  // the one of the two that first writes into a partial page gets a copy of it.
  // Throws Error("usage-sequence").
  std::int32_t fork_sequence(std::int32_t sequence, std::size_t length);
  void free_sequence(std::int32_t sequence);
  std::size_t length(std::int32_t sequence) const { return cache_.length(sequence); }
  void truncate(std::int32_t sequence, std::size_t length);

  // Gives pages that no sequence uses back to the system; returns their bytes.
  std::size_t trim_pages();

  std::size_t page_bytes() const { return cache_.page_bytes(); }
  // Copies the pages from the `first` on, all of whose tokens are written, into `out`.
  // Throws Error("usage-pages") where the sequence has no such pages, Error("usage-sequence").
  void read_pages(std::int32_t sequence, std::size_t first, std::span<std::uint8_t> out) const;
  // Appends whole pages, as read_pages() gave them, to a sequence that ends with a whole page.
  // Throws Error("usage-pages") where it does not or `bytes` are no whole pages, and as step() does
  // Error("usage-sequence"), Error("context-full"), Error("memory").
  void append_pages(std::int32_t sequence, std::span<const std::uint8_t> bytes);

  // Runs the rows, of any number of sequences; the rows of one sequence continue it, position by
  // position. Writes the logits (wanted.size(), vocab_size) of the rows whose indices, ascending,
  // are in `wanted`. A row's logits do not depend on the other sequences, on how its sequence was
  // cut into steps, on the threads or on the instruction set.
  // After an error every sequence holds the tokens it held before. Throws Error("usage-rows"),
  // Error("usage-token"), Error("usage-sequence"), Error("context-full"), Error("memory"),
  // Error("cancelled"), and, of weights that are read, an Error naming their file. Sessions of a
  // streamed model wait for each other; Error("usage-busy") where that would be for ever.
  void step(std::span<const Row> rows, std::span<const std::size_t> wanted, float* logits,
            const StepOptions& options = {});
  // Makes the running step, or else the next one, throw Error("cancelled").
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  std::int32_t sample(std::span<const float> logits, std::span<const std::int32_t> history,
                      const Sampling& sampling, std::uint64_t position);

  KernelTrace& trace() { return trace_; }

 private:
  class Turn;  // the right to change sequences, while it lives

  void check_rows(std::span<const Row> rows, std::span<const std::size_t> wanted) const;

  std::shared_ptr<const Model> model_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  KernelTrace trace_;
  KvCache cache_;
  Decoder decoder_;
  Sampler sampler_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> busy_{false};
};

}  // namespace pocketr1
