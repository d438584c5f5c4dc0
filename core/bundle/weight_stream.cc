#include "bundle/weight_stream.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace pocketr1 {
namespace {

// The golden section: the multiples of it, modulo 1, that lie below any bound are spread evenly,
// and those below a smaller bound are among them.
constexpr double kGolden = 0.6180339887498949;
// Bytes read one way before the other is tried.
constexpr std::size_t kProbeBytes = std::size_t{64} << 20;

}  // namespace

// What a forked child must not destroy: see ~WeightStream.
struct WeightStream::Threads {
  mutable std::mutex mutex;
  std::condition_variable changed;  // a read is done, a buffer free, a pass elsewhere
  std::vector<std::thread> readers;
};

WeightStream::WeightStream(const WeightStore& store, std::vector<WeightSlice> order,
                           std::size_t most_held, std::size_t limit, const StreamOptions& options)
    : store_(store),
      order_(std::move(order)),
      reader_(store),
      slices_(order_.size()),
      end_(order_.size()),
      threads_(std::make_unique<Threads>()),
      process_(getpid()) {
  std::size_t largest = 0;
  for (const WeightSlice& slice : order_) {
    buffer_size_ = std::max(buffer_size_, SliceReader::buffer_size(slice));
    largest = std::max(largest, slice.size.total());
  }
  buffer_count_ = ring_bytes(order_, most_held, options) / std::max<std::size_t>(buffer_size_, 1);
  buffers_.resize(buffer_count_);
  for (std::size_t i = 0; i < buffer_count_; ++i) free_.push_back(i);

  // Small slices cost a read each that is hardly worth its bytes: they are kept first.
  std::vector<double> worth(order_.size());
  std::size_t large = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    double whole;
    worth[i] = order_[i].size.total() < largest / 4
                   ? 1.0
                   : std::modf(kGolden * static_cast<double>(++large), &whole);
    by_worth_.push_back(i);
  }
  std::stable_sort(by_worth_.begin(), by_worth_.end(),
                   [&](std::size_t a, std::size_t b) { return worth[a] > worth[b]; });
  try {
    choose(limit);
    keep_at_once();
    for (unsigned i = 0; i < kReaders; ++i) threads_->readers.emplace_back([this] { run(); });
  } catch (const std::bad_alloc&) {
    stop();
    throw Error("memory", "memory_budget",
                "no memory for " + std::to_string(limit) + " bytes of weights");
  } catch (const std::system_error& error) {
    stop();
    throw Error("threads", "memory_budget", error.what());
  }
}

void WeightStream::stop() {
  {
    const std::lock_guard lock(threads_->mutex);
    stopping_ = true;
  }
  threads_->changed.notify_all();
  for (std::thread& thread : threads_->readers) thread.join();
}

WeightStream::~WeightStream() {
  if (process_ != getpid()) {
    // A fork copies the memory but not the threads: joining them would wait forever, and so would
    // destroying a condition that they sleep on.
    static_cast<void>(threads_.release());
    return;
  }
  stop();
}

// Marks what is to be kept.
void WeightStream::choose(std::size_t limit) {
  limit_ = limit;
  std::size_t sum = 0;
  for (std::size_t i : by_worth_) {
    const std::size_t size = order_[i].size.total();
    slices_[i].wanted = size <= limit - std::min(limit, sum);
    if (slices_[i].wanted) sum += size;
  }
}

const std::uint8_t* WeightStream::read(std::size_t index, std::uint8_t* buffer) {
  const WeightSlice& slice = order_[index];
  const std::uint8_t* bytes = reader_.read(slice, buffer);
  // Only the first time: the storage keeps what it was given, or says that it cannot.
  if (!slices_[index].checked && store_.check) store_.check(*slice.tensor, slice.rows, bytes);
  slices_[index].checked = true;
  return bytes;
}

// Reads slices, keeps those that are wanted; returns bytes per second.
double WeightStream::read_all(const std::vector<std::size_t>& slices) {
  std::size_t next = 0;
  std::size_t bytes = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  for (std::size_t i : slices) {
    const WeightSlice& slice = order_[i];
    bytes += slice.size.total();
    if (const File* file = store_.provider->file(slice.rows.segment)) {
      const SegmentRef& segment = store_.segments[slice.rows.segment];
      file->drop_cache(segment.offset + slice.codes, slice.size.codes);
    }
  }
  const auto work = [&] {
    try {
      SystemMemory buffer(buffer_size_);
      for (;;) {
        std::size_t index;
        {
          const std::lock_guard lock(mutex);
          if (next == slices.size() || failure) return;
          index = slices[next++];
        }
        const std::uint8_t* found = read(index, buffer.data());
        Slice& slice = slices_[index];
        if (!slice.wanted || slice.kept.data() != nullptr) continue;
        SystemMemory kept(order_[index].size.total());
        std::memcpy(kept.data(), found, kept.size());
        const std::lock_guard lock(mutex);
        resident_ += kept.size();
        slice.kept = std::move(kept);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < kReaders) others.emplace_back(work);
  } catch (const std::system_error&) {  // this thread does it alone
  }
  work();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  return static_cast<double>(bytes) / std::max(seconds.count(), 1e-9);
}

void WeightStream::keep_at_once() {
  std::vector<std::size_t> wanted;
  std::vector<std::size_t> others;
  bool direct = true;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    (slices_[i].wanted ? wanted : others).push_back(i);
    direct = direct && reader_.knows_direct(order_[i]);
  }
  // On what will be streamed: nothing but reading takes time. Where that is little, on the rest.
  std::vector<std::size_t> all = others;
  all.insert(all.end(), wanted.begin(), wanted.end());
  std::size_t at = 0;
  const auto probe = [&](bool way) {
    std::vector<std::size_t> some;
    for (std::size_t sum = 0; at < all.size() && sum < kProbeBytes; ++at) {
      sum += order_[all[at]].size.total();
      some.push_back(all[at]);
    }
    reader_.set_direct(way);
    return some.empty() ? 0.0 : read_all(some);
  };
  const double past = direct ? probe(true) : 0.0;
  const double through = probe(false);
  reader_.set_direct(past > through);
  read_speed_ = std::max(past, through);
  std::erase_if(wanted, [&](std::size_t i) { return slices_[i].kept.data() != nullptr; });
  if (!wanted.empty()) read_all(wanted);
}

void WeightStream::set_limit(std::size_t limit) {
  {
    const std::lock_guard lock(threads_->mutex);
    choose(limit);
    for (Slice& slice : slices_) {
      if (slice.wanted) continue;
      resident_ -= slice.kept.size();
      slice.kept = SystemMemory();
    }
  }
  threads_->changed.notify_all();
}

void WeightStream::begin_pass(std::size_t end) {
  {
    const std::lock_guard lock(threads_->mutex);
    end_ = end;
    if (next_streamed(0) == kNone) {
      // All is kept: nobody will ask for what was read last. A read under way is for the next pass
      // to see to.
      while (!ahead_.empty()) drop_first();
      if (free_.size() == buffer_count_) {
        for (SystemMemory& buffer : buffers_) buffer = SystemMemory();
      }
    }
  }
  threads_->changed.notify_all();
}

// The first slice at or behind `from`, and then from the start on, that is not kept.
std::size_t WeightStream::next_streamed(std::size_t from) const {
  if (from >= end_) from = 0;
  for (std::size_t i = 0; i < end_; ++i) {
    const std::size_t index = from + i < end_ ? from + i : from + i - end_;
    if (slices_[index].kept.data() == nullptr) return index;
  }
  return kNone;
}

void WeightStream::drop_first() {
  Ahead& first = *ahead_.front();
  if (first.bytes != nullptr || first.failure) {
    free_.push_back(first.buffer);
  } else {
    first.abandoned = true;
  }
  ahead_.pop_front();
}

// Finds a slice, or sees to it that it is read next; nullptr: not here yet. Locked.
const std::uint8_t* WeightStream::look(std::size_t index) {
  Slice& slice = slices_[index];
  if (slice.kept.data() != nullptr) return slice.kept.data();
  // A pass that ended early, or what has been kept meanwhile, leaves slices nobody asks for.
  while (!ahead_.empty() && ahead_.front()->slice != index) {
    drop_first();
    threads_->changed.notify_all();
  }
  if (ahead_.empty()) {
    if (next_streamed(next_) != index) {
      next_ = index;
      threads_->changed.notify_all();
    }
    return nullptr;
  }
  const std::shared_ptr<Ahead> first = ahead_.front();
  if (first->failure) {
    next_ = index;  // who asks again has it read again
    while (!ahead_.empty()) drop_first();
    std::rethrow_exception(first->failure);
  }
  if (first->bytes == nullptr) return nullptr;
  ahead_.pop_front();
  slice.held = first->buffer;
  ++held_;
  return first->bytes;
}

const std::uint8_t* WeightStream::acquire(std::size_t index) {
  std::unique_lock lock(threads_->mutex);
  for (;;) {
    if (const std::uint8_t* bytes = look(index)) return bytes;
    threads_->changed.wait(lock);
  }
}

const std::uint8_t* WeightStream::try_acquire(std::size_t index) {
  const std::lock_guard lock(threads_->mutex);
  if (slices_[index].kept.data() == nullptr && held_ >= buffer_count_ / 2) return nullptr;
  return look(index);
}

void WeightStream::release(std::size_t index) noexcept {
  {
    const std::lock_guard lock(threads_->mutex);
    Slice& slice = slices_[index];
    if (slice.held == kNone) return;
    free_.push_back(slice.held);
    slice.held = kNone;
    --held_;
  }
  threads_->changed.notify_all();
}

// Learns from a read that is done. Locked.
void WeightStream::watch_speed(std::size_t bytes) {
  if (!busy_) return;
  busy_bytes_ += bytes;
  if (busy_bytes_ < kProbeBytes) return;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> seconds = now - busy_since_;
  read_speed_ = std::max(read_speed_, static_cast<double>(busy_bytes_) / seconds.count());
  busy_since_ = now;
  busy_bytes_ = 0;
}

void WeightStream::run() {
  std::unique_lock lock(threads_->mutex);
  for (;;) {
    std::size_t index = kNone;
    const auto may_read = [&] {
      if (stopping_) return true;
      const auto failed = [](const auto& ahead) { return ahead->failure != nullptr; };
      if (free_.empty() || std::any_of(ahead_.begin(), ahead_.end(), failed)) return false;
      index = next_streamed(next_);
      return index != kNone;
    };
    if (!may_read()) {
      busy_ = false;
      threads_->changed.wait(lock, may_read);
    }
    if (stopping_) return;
    if (!busy_) {
      busy_ = true;
      busy_bytes_ = 0;
      busy_since_ = std::chrono::steady_clock::now();
    }
    const auto ahead = std::make_shared<Ahead>(Ahead{index, free_.back(), nullptr, nullptr});
    free_.pop_back();
    ahead_.push_back(ahead);
    next_ = index + 1;
    const bool keep = slices_[index].wanted;
    lock.unlock();

    const std::uint8_t* bytes = nullptr;
    SystemMemory kept;
    std::exception_ptr failure;
    try {
      SystemMemory& buffer = buffers_[ahead->buffer];
      if (buffer.data() == nullptr) buffer = SystemMemory(buffer_size_);
      bytes = read(index, buffer.data());
    } catch (const std::bad_alloc&) {
      failure = std::make_exception_ptr(
          Error("memory", "memory_budget",
                "no memory for a buffer of " + std::to_string(buffer_size_) + " bytes"));
    } catch (...) {
      failure = std::current_exception();
    }
    if (keep && bytes != nullptr) {
      try {
        kept = SystemMemory(order_[index].size.total());
        std::memcpy(kept.data(), bytes, kept.size());
      } catch (const std::bad_alloc&) {  // it goes on being streamed
      }
    }

    lock.lock();
    if (bytes != nullptr) {
      bytes_read_ += order_[index].size.total();
      watch_speed(order_[index].size.total());
    }
    Slice& slice = slices_[index];
    if (kept.data() != nullptr && slice.wanted && slice.kept.data() == nullptr) {
      resident_ += kept.size();
      slice.kept = std::move(kept);
    }
    ahead->bytes = bytes;
    ahead->failure = failure;
    if (ahead->abandoned) free_.push_back(ahead->buffer);
    threads_->changed.notify_all();
  }
}

std::size_t WeightStream::ring_bytes(const std::vector<WeightSlice>& order, std::size_t most_held,
                                     const StreamOptions& options) {
  std::size_t buffer = 1;
  for (const WeightSlice& slice : order) buffer = std::max(buffer, SliceReader::buffer_size(slice));
  // Half of the ring may be held, and what a step needs beyond that; the rest is read ahead.
  return buffer * std::max(options.ring_bytes / buffer, std::size_t{2} * most_held + 2);
}

std::size_t WeightStream::resident_bytes() const {
  const std::lock_guard lock(threads_->mutex);
  return resident_;
}

std::size_t WeightStream::buffer_bytes() const {
  const std::lock_guard lock(threads_->mutex);
  std::size_t sum = 0;
  for (const SystemMemory& buffer : buffers_) sum += buffer.size();
  return sum;
}

std::size_t WeightStream::streamed_bytes() const {
  const std::lock_guard lock(threads_->mutex);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (slices_[i].kept.data() == nullptr) sum += order_[i].size.total();
  }
  return sum;
}

double WeightStream::read_speed() const {
  const std::lock_guard lock(threads_->mutex);
  return read_speed_;
}

std::uint64_t WeightStream::bytes_read() const {
  const std::lock_guard lock(threads_->mutex);
  return bytes_read_;
}

}  // namespace pocketr1
