#include "session/session.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <new>

#include "base/error.h"
#include "base/float_environment.h"

namespace pocketr1 {
namespace {

constexpr unsigned kMostThreads = 256;

unsigned checked_threads(unsigned threads, unsigned most = kMostThreads) {
  if (threads < 1 || threads > most) {
    throw Error("usage-threads", "threads",
                std::to_string(threads) + " is not between 1 and " + std::to_string(most));
  }
  return threads;
}

std::size_t checked_context(const ModelSpec& spec, std::size_t max_context) {
  if (max_context < 1 || max_context > spec.max_positions) {
    throw Error("usage-context", "max_context",
                std::to_string(max_context) + " is not between 1 and the model's " +
                    std::to_string(spec.max_positions));
  }
  return max_context;
}

}  // namespace

class Session::Turn {
 public:
  explicit Turn(Session& session) : busy_(session.busy_) {
    if (busy_.exchange(true, std::memory_order_acquire)) {
      throw Error("usage-busy", "session", "a step is running");
    }
  }
  ~Turn() { busy_.store(false, std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic<bool>& busy_;
};

Session::Session(std::shared_ptr<const Model> model, const SessionOptions& options)
    : model_(std::move(model)),
      kernels_(select_kernels(options.isa.c_str())),
      pool_(checked_threads(options.threads)),
      cache_(model_->spec(), options.kv_format,
             checked_context(model_->spec(), options.max_context)),
      decoder_(model_->spec(), model_->weights(), cache_, {kernels_, pool_, trace_}) {}

void Session::set_threads(unsigned threads) {
  const Turn turn(*this);
  pool_.set_active(checked_threads(threads, pool_.threads()));
}

std::int32_t Session::create_sequence() {
  const Turn turn(*this);
  return cache_.create();
}

std::int32_t Session::fork_sequence(std::int32_t sequence, std::size_t length) {
  const Turn turn(*this);
  return cache_.fork(sequence, length);
}

std::size_t Session::trim_pages() {
  const Turn turn(*this);
  return cache_.trim();
}

void Session::free_sequence(std::int32_t sequence) {
  const Turn turn(*this);
  cache_.free(sequence);
}

void Session::truncate(std::int32_t sequence, std::size_t length) {
  const Turn turn(*this);
  cache_.truncate(sequence, length);
}

void Session::read_pages(std::int32_t sequence, std::size_t first,
                         std::span<std::uint8_t> out) const {
  const std::size_t size = cache_.page_bytes();
  const std::size_t whole = cache_.length(sequence) / kPageTokens;
  const std::size_t count = out.size() / size;
  if (out.size() % size != 0 || first > whole || count > whole - first) {
    throw Error("usage-pages", std::to_string(sequence),
                std::to_string(out.size()) + " bytes from page " + std::to_string(first) +
                    " on are not pages of its " + std::to_string(whole));
  }
  std::uint8_t* const* pages = cache_.pages(sequence);
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(out.data() + i * size, pages[first + i], size);
  }
}

void Session::append_pages(std::int32_t sequence, std::span<const std::uint8_t> bytes) {
  const Turn turn(*this);
  const std::size_t size = cache_.page_bytes();
  const std::size_t before = cache_.length(sequence);
  if (before % kPageTokens != 0 || bytes.size() % size != 0) {
    throw Error("usage-pages", std::to_string(sequence),
                std::to_string(bytes.size()) + " bytes do not continue its " +
                    std::to_string(before) + " tokens by whole pages");
  }
  const std::size_t count = bytes.size() / size;
  const std::size_t after = before + count * kPageTokens;
  cache_.reserve(sequence, after);
  std::uint8_t* const* pages = cache_.pages(sequence) + before / kPageTokens;
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(pages[i], bytes.data() + i * size, size);
  }
  cache_.commit(sequence, after);
}

void Session::check_rows(std::span<const Row> rows, std::span<const std::size_t> wanted) const {
  std::map<std::int32_t, std::size_t> next;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const auto [it, first] = next.try_emplace(row.sequence, 0);
    if (first) it->second = cache_.length(row.sequence);
    if (row.position != it->second) {
      throw Error("usage-rows", "row " + std::to_string(i),
                  "sequence " + std::to_string(row.sequence) + " continues at position " +
                      std::to_string(it->second) + ", not " + std::to_string(row.position));
    }
    ++it->second;
    const auto vocab = static_cast<std::int64_t>(model_->spec().vocab_size);
    if (row.embedding == nullptr && (row.token < 0 || row.token >= vocab)) {
      throw Error("usage-token", "row " + std::to_string(i),
                  "token " + std::to_string(row.token) + " is outside the vocabulary of " +
                      std::to_string(vocab));
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] >= rows.size() || (i > 0 && wanted[i] <= wanted[i - 1])) {
      throw Error("usage-rows", "logits_for", "must be ascending indices below the number of rows");
    }
  }
}

void Session::step(std::span<const Row> rows, std::span<const std::size_t> wanted, float* logits,
                   const StepOptions& options) {
  const Turn turn(*this);
  const FloatEnvironment environment;
  check_rows(rows, wanted);
  std::map<std::int32_t, std::size_t> before;
  std::map<std::int32_t, std::size_t> after;
  for (const Row& row : rows) {
    before.try_emplace(row.sequence, cache_.length(row.sequence));
    after[row.sequence] = row.position + 1;
  }

  const auto undo = [&] {
    for (const auto& [sequence, length] : before) cache_.truncate(sequence, length);
    cancelled_.store(false, std::memory_order_relaxed);
  };

  StepOptions inner = options;
  inner.cancel = &cancelled_;
  try {
    for (const auto& [sequence, length] : after) cache_.reserve(sequence, length);
    std::vector<std::size_t> local;
    std::size_t done = 0;
    for (std::size_t begin = 0; begin < rows.size(); begin += Decoder::kRowsAtOnce) {
      const std::size_t count = std::min(Decoder::kRowsAtOnce, rows.size() - begin);
      local.clear();
      while (done + local.size() < wanted.size() && wanted[done + local.size()] < begin + count) {
        local.push_back(wanted[done + local.size()] - begin);
      }
      decoder_.forward(rows.subspan(begin, count), local, logits + done * model_->spec().vocab_size,
                       inner);
      done += local.size();
    }
    for (const auto& [sequence, length] : after) cache_.commit(sequence, length);
  } catch (const std::bad_alloc&) {
    undo();
    throw Error("memory", "step", "no memory for " + std::to_string(rows.size()) + " rows");
  } catch (...) {
    undo();
    throw;
  }
}

std::int32_t Session::sample(std::span<const float> logits, std::span<const std::int32_t> history,
                             const Sampling& sampling, std::uint64_t position) {
  const Turn turn(*this);
  const FloatEnvironment environment;
  if (logits.size() != model_->spec().vocab_size) {
    throw Error("usage-rows", "logits",
                "must hold " + std::to_string(model_->spec().vocab_size) + " numbers");
  }
  return sampler_.sample(kernels_, logits, history, sampling, position);
}

}  // namespace pocketr1
