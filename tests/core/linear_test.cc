// Rows of a matrix as floats, and its linear layer, against what weight_format.h says of the bytes.
#include "ops/linear.h"

#include <cmath>
#include <random>

#include "check.h"
#include "ops/gated_linear.h"

using namespace pocketr1;

namespace {

double half_value(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const double size = exponent == 0 ? std::ldexp(half & 1023, -24)
                                    : std::ldexp(1024 + (half & 1023), exponent - 25);
  return half & 0x8000 ? -size : size;
}

std::uint16_t u16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] | at[1] << 8); }

// The weight at (row, col), from the bytes alone.
double weight_value(const MatrixPart& part, std::size_t row, std::size_t col) {
  const WeightFormatTraits& t = traits(part.format);
  if (t.float8()) {
    const std::size_t groups = (part.cols + 127) / 128;
    const std::uint8_t code = part.bytes[row * groups * 128 + col];
    const int exponent = code >> 3 & 15;
    const double size =
        exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
    float scale;
    std::memcpy(&scale, part.bytes + part.rows * groups * 128 + 4 * (row * groups + col / 128), 4);
    return static_cast<float>(code & 0x80 ? -size : size) * scale;  // rounded to f32
  }
  if (!t.tiled()) {
    const std::uint8_t* at = part.bytes + (row * part.cols + col) * (t.bits / 8);
    if (part.format == WeightFormat::f16) return half_value(u16(at));
    std::uint32_t bits = 0;
    if (part.format == WeightFormat::bf16) bits = std::uint32_t{u16(at)} << 16;
    if (part.format == WeightFormat::f32) std::memcpy(&bits, at, 4);
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  const std::size_t groups = (part.cols + t.group_size - 1) / t.group_size;
  const PackedSize size = packed_size(part.format, part.rows, part.cols);
  const std::uint8_t* block = part.bytes + row / 16 * (groups * t.group_size * 2 * t.bits);
  const std::size_t byte = row % 16 * 4 + col % 4;
  const std::size_t at = (row / 16 * groups + col / t.group_size) * 16 + row % 16;
  const double scale = half_value(u16(part.bytes + size.codes + 2 * at));
  const int zero = t.zero_points ? part.bytes[size.codes + size.scales + at] : 1 << (t.bits - 1);
  switch (t.bits) {
    case 8:
      return static_cast<std::int8_t>(block[col / 4 * 64 + byte]) * scale;
    case 4:
      return ((block[col / 8 * 64 + byte] >> (col / 4 % 2 * 4) & 15) - zero) * scale;
    case 2:
      return ((block[col / 16 * 64 + byte] >> (col / 4 % 4 * 2) & 3) - zero) * scale;
    default:
      break;
  }
  // Three bits: two codes and two bits of a third or fourth in each byte of three tiles.
  unsigned codes[8];
  const std::uint8_t* tiles = block + col / 32 * 192 + byte;
  for (std::size_t t3 = 0; t3 < 3; ++t3) {
    codes[2 * t3] = tiles[64 * t3] & 7u;
    codes[2 * t3 + 1] = tiles[64 * t3] >> 3 & 7u;
  }
  const unsigned six = (tiles[0] >> 6) | (tiles[64] >> 6) << 2 | (tiles[128] >> 6) << 4;
  codes[6] = six & 7u;
  codes[7] = six >> 3;
  return (static_cast<int>(codes[col / 4 % 8]) - zero) * scale;
}

struct Packed {
  std::vector<std::uint8_t> bytes;
  MatrixPart part;
  Packed(const WeightFormatTraits& t, std::size_t rows, std::size_t cols) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + cols));
    const PackedSize size = packed_size(t.format, rows, cols);
    bytes.resize(size.total());
    for (std::size_t i = 0; i < size.codes; ++i) {
      bytes[i] = static_cast<std::uint8_t>(random() >> 24);
      if (t.bits == 8 && bytes[i] == 0x80) bytes[i] = 0;
      // An exponent near 1 for floats; f16 and bf16 in their high byte.
      if (t.bits >= 16 && i % (t.bits / 8) == t.bits / 8 - 1) bytes[i] = 0x3c | (bytes[i] & 0x81);
    }
    for (std::size_t i = 0; i < size.scales; i += 2) {
      bytes[size.codes + i + 1] = static_cast<std::uint8_t>(0x20 + (random() >> 30));
      bytes[size.codes + i] = static_cast<std::uint8_t>(random() >> 24);
    }
    for (std::size_t i = 0; i < size.zeros; ++i) {
      bytes[size.codes + size.scales + i] = static_cast<std::uint8_t>(random() >> 28);
      bytes[size.codes + size.scales + i] &= static_cast<std::uint8_t>(t.largest_code());
    }
    part = {t.format, bytes.data(), rows, cols};
  }
};

}  // namespace

TEST(a_row_is_read_as_its_format_says) {
  for (const WeightFormatTraits& t : weight_formats()) {
    const Packed matrix(t, 37, 141);
    std::vector<float> row(141);
    for (std::size_t r : {0u, 15u, 16u, 36u}) {
      read_row(matrix.part, r, row.data());
      for (std::size_t k = 0; k < row.size(); ++k) {
        CHECK_EQ(static_cast<double>(row[k]), weight_value(matrix.part, r, k));
      }
    }
  }
}

TEST(a_linear_layer_multiplies_by_the_weights_its_format_says) {
  constexpr std::size_t kRows = 37;
  ThreadPool pool(3);
  KernelTrace trace;
  const Context context{select_kernels(""), pool, trace};
  std::mt19937 random(1);
  for (const WeightFormatTraits& t : weight_formats()) {
    // A tail of one input, none, and some; several groups.
    for (const auto& [cols, batch] : {std::pair<std::size_t, std::size_t>{1, 3},
                                      {16, 5},
                                      {129, 1},
                                      {129, 4},
                                      {145, 13},
                                      {141, 1},
                                      {141, 4},
                                      {141, 6}}) {
      const Packed matrix(t, kRows, cols);
      std::vector<float> x(batch * cols);
      for (float& v : x) v = static_cast<float>(random() >> 16) / 32768.0f - 1.0f;
      std::vector<float> y(batch * (kRows + 3), 5.0f);
      LinearInput::Workspace workspace;
      LinearInput input(x.data(), batch, cols, workspace);
      const Matrix whole{{matrix.part}};
      const LinearOutput output{&whole, y.data(), kRows + 3};
      linear(context, {&output, 1}, input);
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t r = 0; r < kRows; ++r) {
          double wanted = 0.0, size = 0.0, rounding = 0.0;
          for (std::size_t k = 0; k < cols; ++k) {
            const double w = weight_value(matrix.part, r, k);
            wanted += w * x[b * cols + k];
            size += std::abs(w * x[b * cols + k]);
            rounding += std::abs(w) * 0.5 / 127.0;  // half a step of activations within -1 and 1
          }
          const double bound = t.tiled() ? rounding + 1e-5 * size : 1e-5 * size;
          CHECK(std::abs(y[b * (kRows + 3) + r] - wanted) <= bound);
        }
        for (std::size_t r = kRows; r < kRows + 3; ++r) CHECK_EQ(y[b * (kRows + 3) + r], 5.0f);
      }
    }
  }
}

namespace {

// One run of `linear` of its own, a bias added.
std::vector<float> alone(const Context& context, const Matrix& matrix, std::vector<float>& x,
                         std::size_t batch) {
  std::vector<float> y(batch * matrix.rows());
  LinearInput::Workspace workspace;
  LinearInput input(x.data(), batch, matrix.cols(), workspace);
  const LinearOutput output{&matrix, y.data(), matrix.rows()};
  linear(context, {&output, 1}, input);
  return y;
}

std::vector<float> random_row(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random() >> 16) / 32768.0f - 1.0f;
  return x;
}

}  // namespace

TEST(matrices_of_several_parts_and_formats_go_together) {
  KernelTrace trace;
  ThreadPool pool(3);
  const Context context{select_kernels(""), pool, trace};
  const std::size_t cols = 192;
  const Packed top(traits(WeightFormat::w4g64), 48, cols);
  const Packed bottom(traits(WeightFormat::w4g64), 37, cols);
  const Packed second(traits(WeightFormat::w8g32), 21, cols);
  const Packed third(traits(WeightFormat::f16), 5, cols);
  const std::vector<float> bias = random_row(85, 1);
  const Matrix a{{top.part, bottom.part}, bias.data()};
  const Matrix b{{second.part}};
  const Matrix c{{third.part}};
  for (std::size_t batch : {1, 2, 7, 13}) {
    std::vector<float> x = random_row(batch * cols, 2);
    std::vector<float> y(batch * 85), z(batch * 21), w(batch * 5);
    LinearInput::Workspace workspace;
    LinearInput input(x.data(), batch, cols, workspace);
    const LinearOutput outputs[] = {{&a, y.data(), 85}, {&b, z.data(), 21}, {&c, w.data(), 5}};
    linear(context, outputs, input);
    const auto upper = alone(context, Matrix{{top.part}}, x, batch);
    const auto lower = alone(context, Matrix{{bottom.part}}, x, batch);
    for (std::size_t i = 0; i < batch; ++i) {
      for (std::size_t r = 0; r < 85; ++r) {
        const float plain = r < 48 ? upper[i * 48 + r] : lower[i * 37 + r - 48];
        CHECK_EQ(y[i * 85 + r], plain + bias[r]);
      }
    }
    CHECK(z == alone(context, b, x, batch));
    CHECK(w == alone(context, c, x, batch));
  }
}

TEST(a_gated_product_is_that_of_its_steps) {
  KernelTrace trace;
  ThreadPool pool(3);
  const Context context{select_kernels(""), pool, trace};
  const std::size_t cols = 160;
  for (std::size_t rows : {16, 128, 300, 517}) {
    const Packed one(traits(WeightFormat::w4g32), rows / 2 / 16 * 16, cols);
    const Packed two(traits(WeightFormat::w4g32), rows - one.part.rows, cols);
    const Packed other(traits(WeightFormat::w8g32), rows, cols);
    Matrix gate{{one.part, two.part}};
    if (one.part.rows == 0) gate.parts.erase(gate.parts.begin());
    const Matrix up{{other.part}};
    for (std::size_t batch : {1, 4, 9}) {
      std::vector<float> x = random_row(batch * cols, 3);
      std::vector<float> wanted = alone(context, gate, x, batch);
      const std::vector<float> factor = alone(context, up, x, batch);
      for (std::size_t b = 0; b < batch; ++b) {
        float* row = wanted.data() + b * rows;
        context.kernels.silu_mul(row, factor.data() + b * rows, rows, row);
      }
      LinearInput::Workspace workspace, product_workspace, wanted_workspace;
      LinearInput input(x.data(), batch, cols, workspace);
      std::vector<float> product(batch * rows);
      LinearInput codes(nullptr, batch, rows, product_workspace);
      AlignedBuffer<float> scratch;
      gated_linear(context, gate, up, input, {product.data(), &codes}, scratch);
      CHECK(product == wanted);

      LinearInput steps(wanted.data(), batch, rows, wanted_workspace);
      const QuantizedActivations& a = codes.quantized(context);
      const QuantizedActivations& b = steps.quantized(context);
      CHECK_EQ(a.stride, b.stride);
      CHECK(std::equal(a.codes, a.codes + batch * a.stride, b.codes));
      CHECK(std::equal(a.scales, a.scales + batch * a.stride / 128, b.scales));
      CHECK(std::equal(a.sums, a.sums + batch * a.stride / 32, b.sums));
    }
  }
}
