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

namespace {

// Whether `wanted` workers sleep before patience ends.
bool sleep_soon(const ThreadPool& pool, unsigned wanted) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (pool.sleeping() != wanted && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return pool.sleeping() == wanted;
}

}  // namespace

TEST(threads_that_are_shed_sleep_through_jobs_and_come_back) {
  ThreadPool pool(4);
  CHECK_EQ(pool.active(), 4u);
  for (unsigned active : {2u, 1u, 3u, 4u, 1u, 4u}) {
    pool.set_active(active);
    CHECK_EQ(pool.active(), active);
    CHECK_EQ(pool.threads(), 4u);
    CHECK(sleep_soon(pool, 3));  // nothing to do: all sleep
    std::atomic<unsigned> started{0};
    std::vector<std::atomic<int>> taken(4);
    std::vector<std::atomic<int>> done(active);
    // A task for each active thread, none of which ends before all have begun: so each is in it,
    // and whoever was shed is not.
    pool.run(active, [&](std::size_t i, unsigned thread) {
      ++done[i];
      ++taken[thread];
      ++started;
      while (started < active) std::this_thread::yield();
    });
    for (const auto& n : done) CHECK_EQ(n.load(), 1);
    for (unsigned thread = 0; thread < 4; ++thread) {
      CHECK_EQ(taken[thread].load(), thread < active ? 1 : 0);
    }
  }
}

TEST(a_job_does_not_wake_threads_that_are_shed) {
  ThreadPool pool(4);
  pool.set_active(2);
  CHECK(sleep_soon(pool, 3));
  for (int round = 0; round < 2000; ++round) {
    pool.run(8, [&](std::size_t, unsigned thread) {
      CHECK(thread < 2);
      CHECK(pool.sleeping() >= 2u);
    });
  }
}

TEST(shedding_is_safe_at_any_moment_between_jobs) {
  ThreadPool pool(4);
  std::vector<long> values(64);
  for (int round = 0; round < 3000; ++round) {
    pool.set_active(1 + static_cast<unsigned>(round) % 4);
    pool.run(values.size(), [&](std::size_t i, unsigned) { values[i] += static_cast<long>(i); });
  }
  CHECK_EQ(std::accumulate(values.begin(), values.end(), 0L), 3000L * 64 * 63 / 2);
}

TEST(the_number_of_active_threads_stays_between_one_and_all) {
  ThreadPool pool(2);
  pool.set_active(0);
  CHECK_EQ(pool.active(), 1u);
  pool.set_active(9);
  CHECK_EQ(pool.active(), 2u);
}

TEST(a_pool_whose_threads_are_shed_can_be_destroyed) {
  for (unsigned active : {1u, 2u}) {
    ThreadPool pool(4);
    pool.set_active(active);
    CHECK(sleep_soon(pool, 3));
  }
}

TEST(a_forked_child_can_destroy_the_pool_it_inherited) {
  auto pool = std::make_unique<ThreadPool>(3);
  pool->set_active(2);
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
