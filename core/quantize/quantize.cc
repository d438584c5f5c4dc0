#include "quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/float_environment.h"
#include "base/half.h"
#include "base/thread_pool.h"
#include "quantize/float8.h"
#include "quantize/pack.h"

namespace pocketr1 {
namespace {

QuantizeBlock block_function(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512_vnni) return quantize_block_avx512_vnni;
  if (isa == Isa::avx2) return quantize_block_avx2;
#endif
  static_cast<void>(isa);
  return quantize_block_scalar;
}

Float8Scale float8_scale_function(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512_vnni || isa == Isa::avx2) return float8_scale_avx2;
#endif
  static_cast<void>(isa);
  return float8_scale_scalar;
}

std::size_t element_bytes(SourceType type) { return type == SourceType::f32 ? 4 : 2; }

WeightFormat same_format(SourceType type) {
  switch (type) {
    case SourceType::f16:
      return WeightFormat::f16;
    case SourceType::bf16:
      return WeightFormat::bf16;
    case SourceType::f32:
      break;
  }
  return WeightFormat::f32;
}

[[noreturn]] void refuse_row(const SourceRows& source, std::size_t row, RowStatus status) {
  const std::string at = "row " + std::to_string(source.first_row + row);
  if (status == RowStatus::not_finite) {
    throw Error("quantize-not-finite", source.name, at + " holds a value that is not finite");
  }
  throw Error("quantize-too-large", source.name, at + " holds a value beyond the format's range");
}

float value_at(const SourceRows& source, std::size_t index) {
  if (source.type == SourceType::f32) return static_cast<const float*>(source.data)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(source.data)[index];
  return source.type == SourceType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

// One row into a row-major format.
QuantizeBlockResult convert_row(const SourceRows& source, std::size_t row, WeightFormat format,
                                std::uint8_t* to) {
  QuantizeBlockResult result{};
  const bool same = format == same_format(source.type);
  const std::size_t first = row * source.cols;
  if (same) {
    const std::size_t size = element_bytes(source.type);
    std::memcpy(to, static_cast<const std::uint8_t*>(source.data) + first * size,
                source.cols * size);
  }
  for (std::size_t col = 0; col < source.cols; ++col) {
    const float value = value_at(source, first + col);
    if (!std::isfinite(value)) {
      result.status[0] = RowStatus::not_finite;
      return result;
    }
    const double exact = value;
    result.sum_sq += exact * exact;
    if (same) continue;
    if (format == WeightFormat::f32) {
      std::memcpy(to + col * 4, &value, sizeof value);
      continue;
    }
    const std::uint16_t half = f32_to_f16(value);
    if ((half & 0x7fffU) == 0x7c00U) result.status[0] = RowStatus::too_large;
    to[2 * col] = static_cast<std::uint8_t>(half);
    to[2 * col + 1] = static_cast<std::uint8_t>(half >> 8);
    const double error = std::abs(exact - static_cast<double>(f16_to_f32(half)));
    result.sum_sq_error += error * error;
    result.max_abs = std::max(result.max_abs, error);
  }
  return result;
}

}  // namespace

QuantizeError quantize_rows(const SourceRows& source, WeightFormat format,
                            const QuantizeOptions& options, std::span<std::uint8_t> part) {
  const WeightFormatTraits& format_traits = traits(format);
  const PackedSize size = packed_size(format, source.rows, source.cols);
  if (part.size() != size.total()) {
    throw Error("quantize-unsupported", source.name,
                "the part has " + std::to_string(part.size()) + " bytes, not " +
                    std::to_string(size.total()));
  }
  if (!options.importance.empty() && options.importance.size() != source.cols) {
    throw Error("quantize-unsupported", source.name,
                std::to_string(options.importance.size()) + " importances for " +
                    std::to_string(source.cols) + " inputs");
  }
  const bool from_f32 = source.type == SourceType::f32;
  if (format_traits.group_size == 0 && format != WeightFormat::f32 &&
      format != same_format(source.type) && !(from_f32 && format == WeightFormat::f16)) {
    throw Error("quantize-unsupported", source.name,
                "no conversion from " + std::string(traits(same_format(source.type)).name) +
                    " to " + std::string(format_traits.name));
  }

  const std::size_t block_rows = format_traits.tiled() ? kTileRows : 1;
  const std::size_t blocks = (source.rows + block_rows - 1) / block_rows;
  std::vector<QuantizeBlockResult> results(blocks);
  const auto most_threads = std::max<std::size_t>(blocks, 1);
  ThreadPool pool(static_cast<unsigned>(std::clamp<std::size_t>(options.threads, 1, most_threads)));
  if (format_traits.tiled()) {
    const QuantizeBlock quantize = block_function(options.isa);
    const std::size_t groups = group_count(format, source.cols);
    const std::size_t block_codes =
        groups * format_traits.group_size * kTileRows * format_traits.bits / 8;
    const std::size_t row_bytes = source.cols * element_bytes(source.type);
    pool.run(blocks, [&](std::size_t block, unsigned) {
      const FloatEnvironment environment;
      QuantizeBlockJob job{};
      job.rows = static_cast<const std::uint8_t*>(source.data) + block * kTileRows * row_bytes;
      job.type = source.type;
      job.row_count = std::min(kTileRows, source.rows - block * kTileRows);
      job.cols = source.cols;
      job.bits = format_traits.bits;
      job.group_size = format_traits.group_size;
      job.zero_points = format_traits.zero_points;
      job.codes = part.data() + block * block_codes;
      job.scales = part.data() + size.codes + block * groups * kTileRows * 2;
      job.zeros = part.data() + size.codes + size.scales + block * groups * kTileRows;
      job.importance = options.importance.empty() ? nullptr : options.importance.data();
      quantize(job, results[block]);
    });
  } else if (format_traits.float8()) {
    const std::size_t groups = group_count(format, source.cols);
    const Float8Scale choose_scale = float8_scale_function(options.isa);
    pool.run(blocks, [&](std::size_t row, unsigned) {
      const FloatEnvironment environment;
      std::vector<float> values(source.cols);
      for (std::size_t i = 0; i < source.cols; ++i) {
        values[i] = value_at(source, row * source.cols + i);
      }
      std::vector<float> scales(groups);
      results[row] =
          quantize_float8_row(values, choose_scale,
                              part.data() + row * groups * format_traits.group_size, scales.data());
      std::memcpy(part.data() + size.codes + row * groups * sizeof(float), scales.data(),
                  groups * sizeof(float));
    });
  } else {
    const std::size_t row_bytes = source.cols * (format_traits.bits / 8);
    pool.run(blocks, [&](std::size_t row, unsigned) {
      const FloatEnvironment environment;
      results[row] = convert_row(source, row, format, part.data() + row * row_bytes);
    });
  }

  QuantizeError error;
  for (std::size_t block = 0; block < blocks; ++block) {
    const QuantizeBlockResult& result = results[block];
    for (std::size_t row = 0; row < block_rows; ++row) {
      if (result.status[row] != RowStatus::good) {
        refuse_row(source, block * block_rows + row, result.status[row]);
      }
    }
    error.sum_sq_error += result.sum_sq_error;
    error.sum_sq += result.sum_sq;
    error.max_abs = std::max(error.max_abs, result.max_abs);
  }
  return error;
}

}  // namespace pocketr1
