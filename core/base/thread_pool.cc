#include "base/thread_pool.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/float_environment.h"

namespace pocketr1 {
namespace {

// state_: workers in the job in the low 16 bits, then one bit that closes it, then its generation.
constexpr std::uint64_t kWorkers = 0xffff;
constexpr std::uint64_t kClosed = 0x10000;
constexpr unsigned kGenerationShift = 17;

constexpr std::uint64_t generation(std::uint64_t state) { return state >> kGenerationShift; }

// How long a worker polls before it sleeps: longer than the gaps inside a step, too short to matter
// for a battery. By the clock, since a pause takes between 1 and 140 cycles.
constexpr std::chrono::microseconds kSpin{100};
constexpr int kPollsBetweenLooks = 64;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Polls until kSpin is over.
class Spin {
 public:
  // False when it is over. It begins anew after that.
  bool poll() {
    if (++polls_ % kPollsBetweenLooks != 0) {
      relax();
      return true;
    }
    const auto now = std::chrono::steady_clock::now();
    if (polls_ == kPollsBetweenLooks) end_ = now + kSpin;
    if (now < end_) return true;
    polls_ = 0;
    return false;
  }
  void restart() { polls_ = 0; }

 private:
  unsigned polls_ = 0;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace

ThreadPool::ThreadPool(unsigned threads) : state_(kClosed), active_(threads), process_(getpid()) {
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    const std::string started = std::to_string(workers_.size() + 1);
    stop();
    throw Error("threads", "threads", "only " + started + " could be started: " + error.what());
  } catch (...) {  // no memory for a worker: those that run end before their members do
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  if (process_ == getpid()) {
    stop();
    return;
  }
  // A fork copies the memory but not the workers: joining them would wait forever, and so would
  // destroying a condition that they sleep on.
  static_cast<void>(wake_.release());
  static_cast<void>(unpark_.release());
  static_cast<void>(new std::vector<std::thread>(std::move(workers_)));
}

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_->notify_all();
  unpark_->notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::set_active(unsigned threads) {
  {
    const std::lock_guard lock(mutex_);
    active_.store(std::clamp(threads, 1u, this->threads()), std::memory_order_relaxed);
  }
  wake_->notify_all();  // those that sleep there and take no part now move
  unpark_->notify_all();
}

void ThreadPool::park(unsigned thread) {
  std::unique_lock lock(mutex_);
  parked_.fetch_add(1);
  unpark_->wait(lock, [&] { return stopping_ || thread < active(); });
  parked_.fetch_sub(1);
}

void ThreadPool::take_tasks(unsigned thread) {
  while (!failed_.load(std::memory_order_relaxed)) {
    const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    try {
      task_(context_, index, thread);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }
}

void ThreadPool::work(unsigned thread) {
  const FloatEnvironment environment;
  std::uint64_t seen = 0;
  Spin spin;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (thread >= active()) {
      park(thread);
      continue;
    }
    std::uint64_t state = state_.load(std::memory_order_acquire);
    if (generation(state) == seen) {
      if (spin.poll()) continue;
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1);
      wake_->wait(lock, [&] {
        return stopping_ || thread >= active() || generation(state_.load()) != seen;
      });
      sleepers_.fetch_sub(1);
      continue;
    }
    spin.restart();
    if ((state & kClosed) != 0) {
      seen = generation(state);  // over before this worker came
    } else if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
      seen = generation(state);
      take_tasks(thread);
      state_.fetch_sub(1, std::memory_order_release);
    }
  }
}

void ThreadPool::run_erased(std::size_t count, Erased task, void* context) {
  task_ = task;
  context_ = context;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  const bool shared = count > 1 && active() > 1;
  if (shared) {
    const std::uint64_t next = generation(state_.load(std::memory_order_relaxed)) + 1;
    state_.store(next << kGenerationShift);
    // A worker counts itself among the sleepers before it looks at state_ a last time.
    if (sleepers_.load() != 0) {
      {
        const std::lock_guard lock(mutex_);
      }
      wake_->notify_all();
    }
  }
  take_tasks(0);
  if (shared) {
    std::uint64_t state = state_.fetch_or(kClosed, std::memory_order_acq_rel);
    Spin spin;
    bool patient = true;
    for (; (state & kWorkers) != 0; state = state_.load(std::memory_order_acquire)) {
      // A worker that shares this CPU needs it.
      if (!(patient = patient && spin.poll())) std::this_thread::yield();
    }
  }
  if (failed_.load(std::memory_order_relaxed)) {
    std::exception_ptr failure;
    {
      const std::lock_guard lock(mutex_);
      failure = failure_;
      failure_ = nullptr;
      failed_.store(false, std::memory_order_relaxed);
    }
    std::rethrow_exception(failure);
  }
}

}  // namespace pocketr1
