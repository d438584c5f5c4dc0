#include "ops/peak_probe.h"

#include <atomic>
#include <chrono>
#include <cstddef>

namespace pocketr1 {
namespace {

constexpr std::size_t kRounds = std::size_t{1} << 18;
constexpr std::size_t kSharesPerThread = 8;  // so that a thread that starts late costs little

}  // namespace

PeakProbe::PeakProbe(unsigned threads, const char* isa)
    : threads_(threads), pool_(threads), function_(select_peak_i8(isa)) {}

PeakPass PeakProbe::multiply() {
  if (function_ == nullptr) return {0, 0.0};
  std::atomic<std::uint64_t> products{0};
  const auto start = std::chrono::steady_clock::now();
  pool_.run(threads_ * kSharesPerThread,
            [&](std::size_t, unsigned) { products += function_(kRounds); });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {products, taken.count()};
}

}  // namespace pocketr1
