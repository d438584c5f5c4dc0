#include "quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/half.h"
#include "check.h"
#include "quantize/pack.h"

using namespace pocketr1;

namespace {

std::vector<float> random_weights(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> weights(count);
  for (float& weight : weights) weight = normal(random);
  return weights;
}

std::vector<std::uint8_t> quantize(const std::vector<float>& weights, std::size_t rows,
                                   WeightFormat format, QuantizeOptions options = {},
                                   QuantizeError* error = nullptr) {
  const std::size_t cols = weights.size() / rows;
  std::vector<std::uint8_t> part(packed_size(format, rows, cols).total());
  const SourceRows source{weights.data(), SourceType::f32, rows, cols, "w", 0};
  const QuantizeError measured = quantize_rows(source, format, options, part);
  if (error != nullptr) *error = measured;
  return part;
}

struct Unpacked {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  UnpackedRows view() { return {codes, scales, zeros}; }
};

Unpacked empty(WeightFormat format, std::size_t rows, std::size_t cols) {
  const std::size_t groups = rows * group_count(format, cols);
  return {std::vector<std::uint8_t>(rows * cols), std::vector<float>(groups),
          std::vector<std::uint8_t>(groups)};
}

}  // namespace

TEST(every_instruction_set_and_thread_count_gives_the_same_bytes) {
  for (const WeightFormatTraits& format : weight_formats()) {
    if (format.group_size == 0) continue;
    for (const std::size_t rows : {1UL, 16UL, 53UL}) {
      const auto weights = random_weights(rows * 203, static_cast<unsigned>(rows));
      QuantizeError want;
      const auto part = quantize(weights, rows, format.format, {Isa::scalar, 1}, &want);
      for (const Isa isa : runnable_isas()) {
        for (const unsigned threads : {1U, 3U}) {
          QuantizeError error;
          CHECK(quantize(weights, rows, format.format, {isa, threads}, &error) == part);
          CHECK(error.sum_sq_error == want.sum_sq_error);
          CHECK(error.sum_sq == want.sum_sq);
          CHECK(error.max_abs == want.max_abs);
        }
      }
    }
  }
}

TEST(a_tile_holds_its_rows_and_inputs_where_the_format_says) {
  // 8 bits: weight 127 at (row 2, input 5), all else zero: scale 1, byte 4 * 2 + 1 of tile 1.
  std::vector<float> weights(16 * 32);
  weights[2 * 32 + 5] = 127.0F;
  const auto eight = quantize(weights, 16, WeightFormat::w8g32);
  CHECK_EQ(eight.size(), 16u * 32 + 16 * 2);
  for (std::size_t i = 0; i < 16u * 32; ++i) CHECK_EQ(int{eight[i]}, i == 64 + 9 ? 127 : 0);
  for (std::size_t row = 0; row < 16; ++row) {
    const int scale = eight[512 + 2 * row] | eight[512 + 2 * row + 1] << 8;
    CHECK_EQ(scale, row == 2 ? 0x3c00 : 0);
  }
  // 4 bits: -8 at (row 3, input 14): scale 1, high nibble of byte 4 * 3 + 2 of tile 1.
  weights.assign(16 * 32, 0.0F);
  weights[3 * 32 + 14] = -8.0F;
  const auto four = quantize(weights, 16, WeightFormat::w4g32);
  CHECK_EQ(four.size(), 16u * 16 + 16 * 2);
  for (std::size_t i = 0; i < 16u * 16; ++i) CHECK_EQ(int{four[i]}, i == 64 + 14 ? 0x08 : 0x88);
  // 3 bits: 4 and 2 at (row 3, inputs 9 and 26): scale -1, codes 0 and 2 among centres of 4. Input
  // 9: the low three bits of byte 4 * 3 + 1 of tile 1. Input 26: bits 6..7 of byte 4 * 3 + 2 of the
  // three tiles; with input 30 above it, 100'010.
  weights.assign(16 * 32, 0.0F);
  weights[3 * 32 + 9] = 4.0F;
  weights[3 * 32 + 26] = 2.0F;
  const auto three = quantize(weights, 16, WeightFormat::w3g32);
  CHECK_EQ(three.size(), 16u * 12 + 16 * 2);
  for (std::size_t i = 0; i < 16u * 12; ++i) {
    const int centres = 0b00'100'100 | (i < 64 ? 0b00 : i < 128 ? 0b01 : 0b10) << 6;  // 100'100
    const int with_2 = 0b00'100'100 | (i < 64 ? 0b10 : i < 128 ? 0b00 : 0b10) << 6;   // 100'010
    const int wanted = i % 64 == 14 ? with_2 : i == 64 + 13 ? centres & 0b11'111'000 : centres;
    CHECK_EQ(int{three[i]}, wanted);
  }
  CHECK_EQ(int{three[16 * 12 + 2 * 3 + 1]}, 0xbc);  // f16 of -1
  // 2 bits: -2 at (row 3, input 29): scale 1, bits 6..7 of byte 4 * 3 + 1 of tile 1.
  weights.assign(16 * 32, 0.0F);
  weights[3 * 32 + 29] = -2.0F;
  const auto two = quantize(weights, 16, WeightFormat::w2g32);
  CHECK_EQ(two.size(), 16u * 8 + 16 * 2);
  for (std::size_t i = 0; i < 16u * 8; ++i) CHECK_EQ(int{two[i]}, i == 64 + 13 ? 0x2a : 0xaa);
}

TEST(unpacking_and_packing_again_gives_the_same_part) {
  for (const WeightFormatTraits& format : weight_formats()) {
    if (format.group_size == 0) continue;
    const auto part = quantize(random_weights(37 * 205, 9), 37, format.format);
    Unpacked unpacked = empty(format.format, 37, 205);
    unpack_rows(part, format.format, 37, 205, unpacked.view());
    std::vector<std::uint8_t> again(part.size(), 0xaa);
    pack_rows(unpacked.view(), format.format, 37, 205, again);
    CHECK(again == part);
  }
}

TEST(dequantized_weights_have_the_error_that_was_measured) {
  const auto weights = random_weights(40 * 100, 4);
  for (const WeightFormatTraits& format : weight_formats()) {
    if (format.format == WeightFormat::bf16) continue;
    QuantizeError error;
    const auto part = quantize(weights, 40, format.format, {}, &error);
    std::vector<float> values(weights.size());
    dequantize_rows(part, format.format, 40, 100, values);
    double sum = 0.0;
    double largest = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double one = static_cast<double>(weights[i]) - static_cast<double>(values[i]);
      sum += one * one;
      largest = std::max(largest, std::abs(one));
    }
    CHECK(std::abs(sum - error.sum_sq_error) <= 1e-6 * sum);
    CHECK(std::abs(largest - error.max_abs) <= 1e-6 * largest);
    CHECK((sum == 0.0) == (format.format == WeightFormat::f32));
  }
}

TEST(a_row_that_is_not_finite_is_named) {
  std::vector<float> weights = random_weights(20 * 64, 1);
  weights[17 * 64 + 63] = std::numeric_limits<float>::quiet_NaN();
  for (const WeightFormatTraits& format : weight_formats()) {
    if (format.format == WeightFormat::bf16) continue;
    for (const Isa isa : runnable_isas()) {
      try {
        quantize(weights, 20, format.format, {isa, 2});
        CHECK(false);  // an error is missing
      } catch (const Error& error) {
        CHECK_EQ(error.code(), std::string("quantize-not-finite"));
        CHECK_EQ(error.where(), std::string("w"));
        CHECK(error.reason().find("row 17 ") == 0);
      }
    }
  }
}

TEST(sizes_that_differ_are_refused) {
  const auto weights = random_weights(16 * 32, 2);
  std::vector<std::uint8_t> part(packed_size(WeightFormat::w8g32, 16, 32).total() - 1);
  const SourceRows source{weights.data(), SourceType::f32, 16, 32, "w", 0};
  CHECK_ERROR(quantize_rows(source, WeightFormat::w8g32, {}, part), "quantize-unsupported");
  CHECK_ERROR(quantize_rows(source, WeightFormat::bf16, {}, part), "quantize-unsupported");
  Unpacked unpacked = empty(WeightFormat::w8g32, 16, 32);
  CHECK_ERROR(unpack_rows(part, WeightFormat::w8g32, 16, 32, unpacked.view()),
              "quantize-unsupported");
  CHECK_ERROR(unpack_rows(part, WeightFormat::f16, 16, 32, unpacked.view()),
              "quantize-unsupported");
}

TEST(float8_scales_and_codes_lie_where_the_format_says) {
  // 448 and -0.5 in the first row, zeros in the second: scale 1, then 0.
  std::vector<float> weights(2 * 130);
  weights[3] = 448.0F;
  weights[5] = -0.5F;
  weights[129] = 2.0F;
  const auto part = quantize(weights, 2, WeightFormat::f8e4m3);
  CHECK_EQ(part.size(), 2u * 256 + 2 * 2 * 4);
  for (std::size_t i = 0; i < 512; ++i) {
    CHECK_EQ(int{part[i]}, i == 3 ? 0x7e : i == 5 ? 0xb0 : i == 129 ? 0x7e : 0);
  }
  std::vector<float> scales(4);
  std::memcpy(scales.data(), part.data() + 512, 16);
  CHECK_EQ(scales[0], 1.0F);
  CHECK_EQ(scales[1], 2.0F / 448.0F);
  CHECK_EQ(scales[2], 0.0F);
  CHECK_EQ(scales[3], 0.0F);
}

TEST(float8_takes_the_smallest_and_the_largest_weights) {
  for (const float size : {0x1p-149F, 0x1p-140F, 1e-30F, 1e30F, 0x1.8p127F}) {
    std::vector<float> weights(128);
    weights[0] = size;
    weights[1] = -size;
    const auto part = quantize(weights, 1, WeightFormat::f8e4m3);
    std::vector<float> values(128);
    dequantize_rows(part, WeightFormat::f8e4m3, 1, 128, values);
    CHECK(std::abs(values[0] / size - 1.0F) < 1e-6F || size < 1e-40F);
    CHECK(values[0] > 0.0F && values[1] == -values[0]);
  }
  const std::vector<float> huge(128, std::numeric_limits<float>::max());
  CHECK_ERROR(quantize(huge, 1, WeightFormat::f8e4m3), "quantize-too-large");
}

TEST(packing_float8_refuses_what_is_no_weight) {
  Unpacked rows = empty(WeightFormat::f8e4m3, 2, 130);
  std::vector<std::uint8_t> part(packed_size(WeightFormat::f8e4m3, 2, 130).total());
  const auto packed = [&] { pack_rows(rows.view(), WeightFormat::f8e4m3, 2, 130, part); };
  packed();
  for (const float bad : {-1.0F, -0.0F, 0x1.1p119F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    rows.scales[3] = bad;
    CHECK_ERROR(packed(), "quantize-unsupported");
  }
  rows.scales[3] = 0x1p119F;
  packed();
  for (const int bad : {0x7f, 0xff}) {
    rows.codes[259] = static_cast<std::uint8_t>(bad);
    CHECK_ERROR(packed(), "quantize-unsupported");
  }
  rows.codes[259] = 0x7e;
  rows.zeros[0] = 1;
  CHECK_ERROR(packed(), "quantize-unsupported");
}

TEST(float8_converts_to_the_nearest_both_ways) {
  for (int code = 0; code < 256; ++code) {
    if ((code & 127) == 127) continue;
    const int exponent = code >> 3 & 15;
    const double size =
        exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
    const float value = e4m3_to_f32(static_cast<std::uint8_t>(code));
    CHECK_EQ(static_cast<double>(value), code < 128 ? size : -size);
    CHECK_EQ(f32_to_e4m3(value), code);
    if (code >= 126 || code == 0) continue;
    // Halfway to the next lies what goes to the even of both; a little aside, to the nearer.
    const float half = (value + e4m3_to_f32(static_cast<std::uint8_t>(code + 1))) / 2;
    CHECK_EQ(int{f32_to_e4m3(half)}, code + (code & 1));
    CHECK_EQ(int{f32_to_e4m3(std::nextafter(half, 1e9F))}, code + 1);
    CHECK_EQ(int{f32_to_e4m3(std::nextafter(half, 0.0F))}, code);
  }
  CHECK_EQ(f32_to_e4m3(-0.0F), 0x80);
  CHECK_EQ(f32_to_e4m3(1e9F), 0x7e);
  CHECK_EQ(f32_to_e4m3(-465.0F), 0xfe);
}

TEST(halves_convert_exactly_both_ways) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const std::uint16_t half = static_cast<std::uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (std::isnan(value)) {
      CHECK((half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0);
    } else {
      CHECK_EQ(f32_to_f16(value), half);
    }
  }
  CHECK_EQ(f32_to_f16(65519.996F), 0x7bff);
  CHECK_EQ(f32_to_f16(65520.0F), 0x7c00);
  CHECK_EQ(f32_to_f16(2049.0F), 0x6800);  // a tie goes to even: 2048
  CHECK_EQ(f32_to_f16(2051.0F), 0x6802);  // and 2052
  CHECK_EQ(f32_to_f16(0x1p-25F), 0);      // half the least subnormal: even is zero
  CHECK_EQ(f32_to_f16(0x1.8p-24F), 2);    // 1.5 of it: even is 2
  CHECK_EQ(bf16_to_f32(0x3f80), 1.0F);
}
