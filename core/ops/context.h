// What every operation runs with.
#pragma once

#include <cstddef>
#include <set>
#include <string>

#include "base/thread_pool.h"
#include "kernels/table.h"

namespace pocketr1 {

// Which linear kernels ran; tests assert it.
class KernelTrace {
 public:
  void add(const char* name) {
    if (on_) names_.insert(name);
  }
  void set(bool on) {
    on_ = on;
    names_.clear();
  }
  const std::set<std::string>& names() const { return names_; }

 private:
  bool on_ = false;
  std::set<std::string> names_;
};

struct Context {
  const KernelTable& kernels;
  ThreadPool& pool;
  KernelTrace& trace;
};

}  // namespace pocketr1
