// A pool for loops of many short tasks: workers take indices from one counter, so that fast and
// slow cores balance themselves, and a worker that comes too late for a job is not waited for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace pocketr1 {

class ThreadPool {
 public:
  // `threads` counts the caller of run(): 1 starts no other. Throws Error("threads") where the
  // system refuses to start them.
  explicit ThreadPool(unsigned threads);
  // Joins the workers. In a forked child, which has none, what belongs to them is left behind.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  // How many threads, the caller counted, take part in jobs: 1 to threads(), which it is at first.
  // The others sleep, and no job wakes them. What a job computes does not depend on it.
  unsigned active() const { return active_.load(std::memory_order_relaxed); }
  // Not while run() is in a job.
  void set_active(unsigned threads);

  // Workers that sleep, until there is a job for them: all of them, soon after the last one.
  unsigned sleeping() const { return sleepers_.load() + parked_.load(); }

  // Calls task(index, thread) once for every index below count, 0 <= thread < threads(), and
  // returns when all are done; the first exception of a task is thrown here. One caller at a time.
  template <typename Task>
  void run(std::size_t count, Task&& task) {
    auto* pointer = &task;
    run_erased(
        count,
        [](void* context, std::size_t index, unsigned thread) {
          (*static_cast<decltype(pointer)>(context))(index, thread);
        },
        const_cast<void*>(static_cast<const void*>(pointer)));
  }

 private:
  using Erased = void (*)(void*, std::size_t, unsigned);
  void run_erased(std::size_t count, Erased task, void* context);
  void take_tasks(unsigned thread);
  void work(unsigned thread);
  void park(unsigned thread);
  void stop();

  std::vector<std::thread> workers_;

  // The job: written by run() while no worker is in it.
  Erased task_ = nullptr;
  void* context_ = nullptr;
  std::size_t count_ = 0;
  alignas(64) std::atomic<std::size_t> next_{0};
  // Generation of the job, whether it is closed to workers, and how many are in it: see the .cc.
  alignas(64) std::atomic<std::uint64_t> state_;
  std::atomic<unsigned> active_;
  std::atomic<unsigned> sleepers_{0};  // on wake_
  std::atomic<unsigned> parked_{0};    // on unpark_
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;  // guarded by mutex_
  std::mutex mutex_;
  std::unique_ptr<std::condition_variable> wake_ = std::make_unique<std::condition_variable>();
  // Apart from wake_: a job must neither wake those that take no part nor pay for asking.
  std::unique_ptr<std::condition_variable> unpark_ = std::make_unique<std::condition_variable>();
  long process_;
};

}  // namespace pocketr1
