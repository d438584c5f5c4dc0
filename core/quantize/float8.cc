#include "quantize/float8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/half.h"

namespace pocketr1 {
namespace {

constexpr std::size_t kGroup = kFloat8Group;
constexpr float kLargest = 448.0F;

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

QuantizeBlockResult quantize_float8_row(std::span<const float> row, Float8Scale choose_scale,
                                        std::uint8_t* codes, float* scales) {
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
    const float scale = largest == 0.0F ? 0.0F : choose_scale(values, largest);
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
