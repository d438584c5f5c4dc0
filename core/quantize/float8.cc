#include "quantize/float8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/half.h"

namespace pocketr1 {
namespace {

constexpr std::size_t kGroup = kFloat8Group;
constexpr std::size_t kLanes = 8;
constexpr int kScales = 16;
constexpr float kLargest = 448.0F;

// What f32_to_e4m3 and back gives, without branches.
inline float rounded(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t size = bits & 0x7fffffffU;
  const float magnitude = std::bit_cast<float>(size);
  const std::uint32_t normal = (size + 0x7ffffU + ((size >> 20) & 1U)) & 0xfff00000U;
  const std::uint32_t small = std::bit_cast<std::uint32_t>((magnitude + 16384.0F) - 16384.0F);
  const std::uint32_t near = size < 0x3c800000U ? small : normal;
  return std::bit_cast<float>((bits & 0x80000000U) | std::min(near, 0x43e00000U));
}

// Sum of squared errors of a group, zero behind its inputs; lanes, then a tree.
float squared_error(const float* values, float scale) {
  float lanes[kLanes] = {};
  for (std::size_t i = 0; i < kGroup; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const float error = values[i + l] - rounded(values[i + l] / scale) * scale;
      lanes[l] = lanes[l] + error * error;
    }
  }
  for (std::size_t step = kLanes / 2; step != 0; step /= 2) {
    for (std::size_t l = 0; l < step; ++l) lanes[l] = lanes[l] + lanes[l + step];
  }
  return lanes[0];
}

float choose_scale(const float* values, float largest) {
  if (largest == 0.0F) return 0.0F;
  // A scale that would be zero is the least there is.
  const float least = std::max(largest / kLargest, 0x1p-149F);
  float best = least;
  float best_error = squared_error(values, least);
  for (int i = 1; i < kScales; ++i) {
    const float scale = least * (1.0F + static_cast<float>(i) / kScales);
    if (scale > kLargestFloat8Scale) break;
    const float error = squared_error(values, scale);
    if (error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  return best;
}

std::size_t groups_of(std::size_t cols) { return (cols + kGroup - 1) / kGroup; }

[[noreturn]] void unsupported(const std::string& reason) {
  throw Error("quantize-unsupported", "", reason);
}

void check_sizes(std::size_t part, const UnpackedRows& unpacked, std::size_t rows,
                 std::size_t cols) {
  const std::size_t groups = rows * groups_of(cols);
  if (part != packed_size(WeightFormat::f8e4m3, rows, cols).total() ||
      unpacked.codes.size() != rows * cols || unpacked.scales.size() != groups ||
      unpacked.zeros.size() != groups) {
    unsupported("the part, codes, scales or zero points are not of the weight's shape");
  }
}

}  // namespace

QuantizeBlockResult quantize_float8_row(std::span<const float> row, std::uint8_t* codes,
                                        float* scales) {
  QuantizeBlockResult result{};
  for (std::size_t begin = 0; begin < row.size(); begin += kGroup) {
    const std::size_t inputs = std::min(kGroup, row.size() - begin);
    float values[kGroup] = {};
    std::copy_n(row.data() + begin, inputs, values);
    float largest = 0.0F;
    for (const float value : values) {
      if (!std::isfinite(value)) {
        result.status[0] = RowStatus::not_finite;
        return result;
      }
      largest = std::max(largest, std::abs(value));
    }
    if (largest / kLargest > kLargestFloat8Scale) {
      result.status[0] = RowStatus::too_large;
      return result;
    }
    const float scale = choose_scale(values, largest);
    *scales++ = scale;
    for (std::size_t i = 0; i < kGroup; ++i) {
      codes[begin + i] = scale == 0.0F || i >= inputs ? 0 : f32_to_e4m3(values[i] / scale);
      const double exact = values[i];
      const double stored = e4m3_to_f32(codes[begin + i]) * scale;
      const double error = std::abs(exact - stored);
      result.sum_sq += exact * exact;
      result.sum_sq_error += error * error;
      result.max_abs = std::max(result.max_abs, error);
    }
  }
  return result;
}

void unpack_float8(std::span<const std::uint8_t> part, std::size_t rows, std::size_t cols,
                   const UnpackedRows& unpacked) {
  check_sizes(part.size(), unpacked, rows, cols);
  const std::size_t stride = groups_of(cols) * kGroup;
  for (std::size_t row = 0; row < rows; ++row) {
    std::copy_n(part.data() + row * stride, cols, unpacked.codes.data() + row * cols);
  }
  if (!unpacked.scales.empty()) {
    std::memcpy(unpacked.scales.data(), part.data() + rows * stride, unpacked.scales.size_bytes());
  }
  std::fill(unpacked.zeros.begin(), unpacked.zeros.end(), std::uint8_t{0});
}

void pack_float8(const UnpackedRows& unpacked, std::size_t rows, std::size_t cols,
                 std::span<std::uint8_t> part) {
  check_sizes(part.size(), unpacked, rows, cols);
  const std::size_t groups = groups_of(cols);
  const std::size_t stride = groups * kGroup;
  std::fill(part.begin(), part.end(), std::uint8_t{0});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::uint8_t code = unpacked.codes[row * cols + col];
      if ((code & 0x7F) == 0x7F) {
        unsupported("the code of row " + std::to_string(row) + ", input " + std::to_string(col) +
                    " is not a number");
      }
      part[row * stride + col] = code;
    }
  }
  for (std::size_t i = 0; i < rows * groups; ++i) {
    const float scale = unpacked.scales[i];
    const auto at = [&] {
      return "row " + std::to_string(i / groups) + ", group " + std::to_string(i % groups);
    };
    if (!(scale >= 0.0F && scale <= kLargestFloat8Scale) || std::signbit(scale)) {
      unsupported("the scale of " + at() + " is negative, not finite or above 2^119");
    }
    if (unpacked.zeros[i] != 0) unsupported("the zero point of " + at() + " is not 0");
    std::memcpy(part.data() + rows * stride + sizeof scale * i, &scale, sizeof scale);
  }
}

void dequantize_float8(std::span<const std::uint8_t> part, std::size_t rows, std::size_t cols,
                       std::span<float> values) {
  const std::size_t groups = groups_of(cols);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      float scale;
      const std::size_t at = row * groups + col / kGroup;
      std::memcpy(&scale, part.data() + rows * groups * kGroup + sizeof scale * at, sizeof scale);
      values[row * cols + col] = e4m3_to_f32(part[row * groups * kGroup + col]) * scale;
    }
  }
}

}  // namespace pocketr1
