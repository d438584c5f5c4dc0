#include "base/thread_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "check.h"

using namespace pocketr1;

// Clang's sanitizers bring an operator new of their own and no second one links beside it.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define POCKETR1_OWN_NEW 0
#endif
#endif
#ifndef POCKETR1_OWN_NEW
#define POCKETR1_OWN_NEW 1
#endif

#if POCKETR1_OWN_NEW
namespace {
// Allocations that succeed before one fails; below zero: all do.
std::atomic<int> allocations_left{-1};
}  // namespace

void* operator new(std::size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST(no_memory_for_a_worker_is_an_error_and_ends_those_that_run) {
  bool done = false;
  for (int allowed = 0; allowed < 40 && !done; ++allowed) {
    allocations_left = allowed;
    try {
      ThreadPool pool(4);
      allocations_left = -1;
      done = true;
    } catch (const std::bad_alloc&) {
      allocations_left = -1;
    }
  }
  CHECK(done);
}
#endif

TEST(every_index_is_taken_once) {
  for (unsigned threads : {1u, 2u, 5u}) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.threads(), threads);
    for (std::size_t count : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> taken(count);
      pool.run(count, [&](std::size_t i, unsigned thread) {
        CHECK(thread < threads);
        ++taken[i];
      });
      for (const auto& n : taken) CHECK_EQ(n.load(), 1);
    }
  }
}

TEST(what_tasks_wrote_is_seen_after_run) {
  ThreadPool pool(4);
  std::vector<long> values(64);
  long total = 0;
  for (int round = 0; round < 3000; ++round) {
    pool.run(values.size(), [&](std::size_t i, unsigned) { values[i] += static_cast<long>(i); });
  }
  total = std::accumulate(values.begin(), values.end(), 0L);
  CHECK_EQ(total, 3000L * 64 * 63 / 2);
}

TEST(an_exception_comes_back_and_the_pool_goes_on) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    bool thrown = false;
    try {
      pool.run(100, [](std::size_t i, unsigned) {
        if (i == 40) throw std::runtime_error("forty");
      });
    } catch (const std::runtime_error& error) {
      thrown = std::string(error.what()) == "forty";
    }
    CHECK(thrown);
    std::atomic<int> count{0};
    pool.run(10, [&](std::size_t, unsigned) { ++count; });
    CHECK_EQ(count.load(), 10);
  }
}

TEST(workers_that_slept_wake_for_the_next_job) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> count{0};
    pool.run(50, [&](std::size_t, unsigned) { ++count; });
    CHECK_EQ(count.load(), 50);
  }
}

TEST(workers_sleep_when_there_is_nothing_to_do) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    pool.run(64, [](std::size_t, unsigned) {});
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (pool.sleeping() != 2 && std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK_EQ(pool.sleeping(), 2u);
  }
}

TEST(a_forked_child_can_destroy_the_pool_it_inherited) {
  auto pool = std::make_unique<ThreadPool>(3);
  pool->run(10, [](std::size_t, unsigned) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the workers sleep
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);  // a child that hangs is killed, which the parent sees
    pool.reset();
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  std::atomic<int> count{0};
  pool->run(10, [&](std::size_t, unsigned) { ++count; });
  CHECK_EQ(count.load(), 10);
}
