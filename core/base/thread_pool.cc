#include "base/thread_pool.h"

#include <string>
#include <system_error>

#include "base/error.h"
#include "base/float_environment.h"

namespace pocketr1 {
namespace {

// Polls before a worker sleeps: some tens of microseconds, longer than the gaps inside a step.
constexpr int kPolls = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(unsigned threads) {
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    const std::string started = std::to_string(workers_.size() + 1);
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ++generation_;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw Error("threads", "threads", "only " + started + " could be started: " + error.what());
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
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
  for (;;) {
    int polls = 0;
    while (generation_.load(std::memory_order_acquire) == seen && polls < kPolls) {
      relax();
      ++polls;
    }
    if (polls == kPolls) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_tasks(thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run_erased(std::size_t count, Erased task, void* context) {
  task_ = task;
  context_ = context;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  if (count > 1 && !workers_.empty()) {
    busy_.store(workers_.size(), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }
  take_tasks(0);
  int polls = 0;
  while (busy_.load(std::memory_order_acquire) != 0) {
    if (++polls < kPolls) {
      relax();
    } else {
      std::this_thread::yield();
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
