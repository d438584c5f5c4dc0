// Weights under a limit of resident bytes: some slices are kept in memory of our own, the others
// are read in the order in which a decoder asks for them, over and over, ahead of it.
//
// Mapped pages would not do: under a limit the system drops them in an order of its own, and a pass
// over more than fits finds each page just dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/system_memory.h"
#include "bundle/slice_reader.h"
#include "bundle/weight_slice.h"

namespace pocketr1 {

struct StreamOptions {
  std::size_t slice_bytes = std::size_t{2} << 20;  // about; a slice has at least 16 rows
  std::size_t ring_bytes = std::size_t{16}
                           << 20;  // at least; never fewer than a step holds at once
};

class WeightStream {
 public:
  // `order`: every slice, in the order a pass asks for them. `most_held`: slices that have to be in
  // memory at once. Reads at once what is to be kept, and finds out meanwhile whether reading past
  // the page cache is faster. `store` stays where it is.
  // Throws Error naming the file, Error("memory"), Error("threads").
  WeightStream(const WeightStore& store, std::vector<WeightSlice> order, std::size_t most_held,
               std::size_t limit, const StreamOptions& options);
  ~WeightStream();
  WeightStream(const WeightStream&) = delete;
  WeightStream& operator=(const WeightStream&) = delete;

  // Bytes that may be kept from now on. Fewer: slices are given back to the system at once. More:
  // they are kept when they are next read. Not while a pass runs.
  void set_limit(std::size_t limit);

  // The next pass asks for slices below `end`, in order, any number of them left out.
  void begin_pass(std::size_t end);
  // A slice's bytes until release(); waits for them. Throws Error naming the file.
  const std::uint8_t* acquire(std::size_t slice);
  // nullptr where it would have to wait, or where half of the ring is held.
  const std::uint8_t* try_acquire(std::size_t slice);
  void release(std::size_t slice) noexcept;

  const std::vector<WeightSlice>& order() const { return order_; }
  // Of the ring such a stream would have, once something is streamed.
  static std::size_t ring_bytes(const std::vector<WeightSlice>& order, std::size_t most_held,
                                const StreamOptions& options);
  std::size_t ring_bytes() const { return buffer_size_ * buffer_count_; }
  std::size_t resident_bytes() const;  // of slices kept
  std::size_t buffer_bytes() const;    // of the ring, now: none where all is kept
  std::size_t streamed_bytes() const;  // of the others: what a pass over all slices reads
  std::uint64_t bytes_read() const;    // by the stream so far
  // Bytes per second that the storage gave: when the stream was opened, or, where that is more,
  // over some 64 MB of streaming in which no reader had to wait for a buffer.
  double read_speed() const;
  bool direct() const { return reader_.direct(); }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  // How many reads are under way at once: one more than is needed, so that the storage never waits
  // for us.
  static constexpr unsigned kReaders = 2;

  struct Slice {
    SystemMemory kept;                 // empty: streamed
    bool wanted = false;               // to be kept when it is next read
    std::atomic<bool> checked{false};  // its values were seen once
    std::size_t held = kNone;          // the buffer in which a pass has it
  };
  // A read under way or done, not yet taken by a pass.
  struct Ahead {
    std::size_t slice;
    std::size_t buffer;
    const std::uint8_t* bytes = nullptr;  // nullptr: under way
    std::exception_ptr failure;
    bool abandoned = false;  // nobody will take it
  };
  struct Threads;

  void stop();
  void choose(std::size_t limit);
  void keep_at_once();
  double read_all(const std::vector<std::size_t>& slices);
  const std::uint8_t* read(std::size_t slice, std::uint8_t* buffer);
  void run();
  std::size_t next_streamed(std::size_t from) const;
  const std::uint8_t* look(std::size_t slice);
  void watch_speed(std::size_t bytes);
  void drop_first();

  const WeightStore& store_;
  const std::vector<WeightSlice> order_;
  std::vector<std::size_t> by_worth_;  // slices, those kept first before all others
  SliceReader reader_;
  std::size_t buffer_size_ = 0;
  std::size_t buffer_count_ = 0;
  double read_speed_ = 0.0;

  std::vector<Slice> slices_;
  std::vector<SystemMemory> buffers_;         // of the ring; without pages until they are needed
  std::vector<std::size_t> free_;             // buffers
  std::deque<std::shared_ptr<Ahead>> ahead_;  // in the order of reading
  std::size_t limit_ = 0;
  std::size_t resident_ = 0;
  std::size_t held_ = 0;  // buffers a pass has
  std::size_t next_ = 0;  // the slice to be read next, or one before it
  std::size_t end_ = 0;
  std::uint64_t bytes_read_ = 0;
  // Since when the readers have not waited, and what they read since.
  std::chrono::steady_clock::time_point busy_since_;
  std::size_t busy_bytes_ = 0;
  bool busy_ = false;
  bool stopping_ = false;
  std::unique_ptr<Threads> threads_;
  int process_;
};

}  // namespace pocketr1
