#include "ops/memory_probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>

#include "base/error.h"

namespace pocketr1 {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::uint64_t add_up(const std::uint8_t* bytes, std::size_t count) {
  // Independent sums, so that loads and not additions are what is waited for.
  constexpr std::size_t kLanes = 16;
  std::uint64_t lanes[kLanes] = {};
  for (std::size_t at = 0; at < count; at += sizeof lanes) {
    std::uint64_t words[kLanes];
    std::memcpy(words, bytes + at, sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += words[lane];
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) sum += lane;
  return sum;
}

std::size_t whole_chunks(std::size_t bytes) {
  // At least one matrix of one byte a weight and its scales.
  const std::size_t least = 2 * MemoryProbe::kMatrixRows * MemoryProbe::kMatrixCols;
  return (std::max(bytes, least) + kChunk - 1) / kChunk;
}

}  // namespace

MemoryProbe::MemoryProbe(std::size_t bytes, unsigned threads, const char* isa)
    : buffer_(whole_chunks(bytes) * kChunk),
      activations_(kMatrixCols),
      outputs_(kMatrixRows),
      pool_(threads),
      context_{select_kernels(isa), pool_, trace_} {
  std::fill_n(activations_.data(), kMatrixCols, 1.0F);
  pool_.run(buffer_.size() / kChunk, [&](std::size_t chunk, unsigned) {
    std::memset(buffer_.data() + chunk * kChunk, kByte, kChunk);
  });
}

ProbePass MemoryProbe::read() {
  std::atomic<std::uint64_t> sum{0};
  const auto start = std::chrono::steady_clock::now();
  pool_.run(buffer_.size() / kChunk, [&](std::size_t chunk, unsigned) {
    sum += add_up(buffer_.data() + chunk * kChunk, kChunk);
  });
  const double seconds = seconds_since(start);
  sum_ = sum;
  return {buffer_.size(), seconds};
}

ProbePass MemoryProbe::multiply(WeightFormat format) {
  if (traits(format).group_size == 0) {
    throw Error("quantize-unsupported", std::string(traits(format).name), "no packed format");
  }
  const std::size_t size = packed_size(format, kMatrixRows, kMatrixCols).total();
  const std::size_t matrices = buffer_.size() / size;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t index = 0; index < matrices; ++index) {
    const Matrix matrix{{{format, buffer_.data() + index * size, kMatrixRows, kMatrixCols}}};
    LinearInput input(activations_.data(), 1, kMatrixCols, workspace_);
    const LinearOutput output{&matrix, outputs_.data(), kMatrixRows};
    linear(context_, {&output, 1}, input);
  }
  return {matrices * size, seconds_since(start)};
}

}  // namespace pocketr1
