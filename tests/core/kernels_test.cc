// Every kernel of every instruction set this CPU has, against its scalar twin: bit for bit, on
// random shapes, odd tails and extreme values.
#include "kernels/table.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "base/cpu_features.h"
#include "check.h"
#include "formats/weight_format.h"

using namespace pocketr1;

namespace {

std::mt19937 generator(7);

float random_float(float scale) { return std::normal_distribution<float>(0.0f, scale)(generator); }

std::size_t random_size(std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(generator);
}

std::vector<float> random_floats(std::size_t n, float scale = 1.0f) {
  std::vector<float> out(n);
  for (float& x : out) x = random_float(scale);
  if (n > 3) {
    out[random_size(0, n - 1)] = 1000.0f * scale;
    out[random_size(0, n - 1)] = 0.0f;
    out[random_size(0, n - 1)] = -0.0f;
  }
  return out;
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

std::vector<const KernelTable*> fast_tables() {
  std::vector<const KernelTable*> out;
  for (Isa isa : runnable_isas()) {
    if (isa != Isa::scalar) out.push_back(&select_kernels(std::string(isa_name(isa)).c_str()));
  }
  return out;
}

const KernelTable& scalar_table() { return select_kernels("scalar"); }

void check_same(const KernelTable& fast, const char* what, bool same) {
  if (!same) test::fail(__FILE__, __LINE__, std::string(what) + " differs on " + fast.isa);
}

struct Activations {
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  std::size_t stride;
  Activations(const KernelTable& table, const std::vector<float>& x, std::size_t rows,
              std::size_t n)
      : stride((n + 127) / 128 * 128) {
    codes.resize(rows * stride);
    scales.resize(rows * stride / 128);
    sums.resize(rows * stride / 32);
    for (std::size_t r = 0; r < rows; ++r) {
      table.quantize_a8(x.data() + r * n, n, stride, codes.data() + r * stride,
                        scales.data() + r * stride / 128, sums.data() + r * stride / 32);
    }
  }
};

}  // namespace

TEST(float_kernels_agree) {
  for (const KernelTable* fast : fast_tables()) {
    for (int round = 0; round < 200; ++round) {
      const std::size_t n = round < 40 ? static_cast<std::size_t>(round + 1) : random_size(1, 3000);
      const auto x = random_floats(n, round % 3 == 0 ? 30.0f : 1.0f);
      const auto w = random_floats(n);
      std::vector<float> a(n), b(n);
      scalar_table().rms_norm(x.data(), w.data(), 1e-6f, n, a.data());
      fast->rms_norm(x.data(), w.data(), 1e-6f, n, b.data());
      check_same(*fast, "rms_norm", same_bits(a, b));
      scalar_table().silu_mul(x.data(), w.data(), n, a.data());
      fast->silu_mul(x.data(), w.data(), n, b.data());
      check_same(*fast, "silu_mul", same_bits(a, b));
      const float left = scalar_table().exp_sum(x.data(), n, 3.0f, 0.7f, a.data());
      const float right = fast->exp_sum(x.data(), n, 3.0f, 0.7f, b.data());
      check_same(*fast, "exp_sum", same_bits(a, b) && left == right);
    }
  }
}

TEST(exp_is_right_to_two_units_in_the_last_place) {
  for (Isa isa : runnable_isas()) {
    const KernelTable& table = select_kernels(std::string(isa_name(isa)).c_str());
    for (float x = -87.0f; x < 88.0f; x += 0.01037f) {
      float y = 0.0f;
      table.exp_sum(&x, 1, 0.0f, 1.0f, &y);
      const double exact = std::exp(static_cast<double>(x));
      CHECK(std::abs(y - exact) <= exact * 2 * std::numeric_limits<float>::epsilon());
    }
  }
}

TEST(rms_norm_and_silu_are_their_formulas) {
  for (Isa isa : runnable_isas()) {
    const KernelTable& table = select_kernels(std::string(isa_name(isa)).c_str());
    for (std::size_t n : {1u, 15u, 16u, 33u, 1536u}) {
      // Small enough that eps counts.
      const auto x = random_floats(n, 1e-3f);
      const auto w = random_floats(n);
      std::vector<float> normed(n), silu(n);
      table.rms_norm(x.data(), w.data(), 1e-4f, n, normed.data());
      table.silu_mul(w.data(), x.data(), n, silu.data());
      double squares = 0.0;
      for (float v : x) squares += static_cast<double>(v) * v;
      const double root = std::sqrt(squares / static_cast<double>(n) + 1e-4);
      for (std::size_t i = 0; i < n; ++i) {
        const double normal = x[i] / root * w[i];
        CHECK(std::abs(normed[i] - normal) <= 1e-5 * std::abs(normal));
        const double gate = w[i];
        const double product = gate / (1.0 + std::exp(-gate)) * x[i];
        // exp stops at exp(88): below that silu is zero to within 1e-35.
        CHECK(std::abs(silu[i] - product) <= 1e-5 * std::abs(product) + 1e-34);
      }
    }
  }
}

TEST(quantized_activations_agree_and_are_within_half_a_step) {
  for (int round = 0; round < 100; ++round) {
    const std::size_t n = random_size(1, 700);
    auto x = random_floats(n, round % 4 == 0 ? 1e-20f : 2.0f);
    if (round == 0) x.assign(n, 0.0f);
    const Activations a(scalar_table(), x, 1, n);
    for (std::size_t i = 0; i < a.stride; ++i) {
      const float value = static_cast<float>(a.codes[i]) * a.scales[i / 128];
      const float wanted = i < n ? x[i] : 0.0f;
      CHECK(std::abs(value - wanted) <= a.scales[i / 128] * 0.5001f);
    }
    for (const KernelTable* fast : fast_tables()) {
      const Activations b(*fast, x, 1, n);
      check_same(*fast, "quantize_a8",
                 same_bits(a.codes, b.codes) && same_bits(a.scales, b.scales) &&
                     same_bits(a.sums, b.sums));
    }
  }
}

TEST(non_finite_activations_do_not_crash) {
  for (Isa isa : runnable_isas()) {
    std::vector<float> x(200, 1.0f);
    x[3] = std::numeric_limits<float>::quiet_NaN();
    x[150] = std::numeric_limits<float>::infinity();
    const Activations a(select_kernels(std::string(isa_name(isa)).c_str()), x, 1, x.size());
    CHECK_EQ(a.stride, 256u);
  }
}

namespace {

struct Linear {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint16_t> scales;
  std::vector<std::uint8_t> zeros;
  std::vector<float> row_scales;
  std::vector<float> x;
  std::size_t rows, cols, batch;
  WeightFormat format;

  Linear(const WeightFormatTraits& t, std::size_t rows_, std::size_t inputs, std::size_t batch_,
         bool extreme)
      : rows(rows_), cols(inputs), batch(batch_), format(t.format) {
    const PackedSize size = packed_size(t.format, rows, inputs);
    codes.resize(size.codes);
    scales.resize(size.scales / 2);
    zeros.resize(size.zeros);
    x = random_floats(batch * inputs);
    if (extreme) {
      for (float& v : x) v = v < 0 ? -1.0f : 1.0f;
    }
    if (t.float8()) {
      row_scales.resize(size.scales / sizeof(float));
      for (float& s : row_scales) s = std::abs(random_float(0.01f));
      for (std::uint8_t& c : codes) {
        c = static_cast<std::uint8_t>(random_size(0, 255));
        if (extreme) c = c & 1 ? 0x7e : 0xfe;
        if ((c & 0x7f) == 0x7f) c = 0;  // NaN is not a code
      }
      return;
    }
    if (!t.tiled()) {
      for (std::size_t i = 0; i < rows * inputs; ++i) {
        const float v = random_float(1.0f);
        std::uint32_t bits;
        std::memcpy(&bits, &v, 4);
        if (t.format == WeightFormat::f32) std::memcpy(codes.data() + 4 * i, &v, 4);
        // Any finite half will do: the kernels are compared, not the values.
        const std::uint16_t half = static_cast<std::uint16_t>(
            t.format == WeightFormat::bf16 ? bits >> 16 : (bits >> 16 & 0xbfffu));
        if (t.format != WeightFormat::f32) std::memcpy(codes.data() + 2 * i, &half, 2);
      }
      return;
    }
    cols = (inputs + t.group_size - 1) / t.group_size * t.group_size;
    for (std::uint8_t& c : codes) {
      c = static_cast<std::uint8_t>(random_size(0, 255));
      if (extreme) c = t.bits == 8 ? (c & 1 ? 0x7f : 0x81) : (c & 1 ? 0xff : 0x00);
      if (t.bits == 8 && c == 0x80) c = 0x81;  // -128 is not a code
    }
    for (std::uint16_t& s : scales) {
      s = static_cast<std::uint16_t>(random_size(0x0000, 0x3c00));
      if (t.signed_scales() && random_size(0, 1) == 1) s |= 0x8000;
    }
    for (std::uint8_t& z : zeros) z = static_cast<std::uint8_t>(random_size(0, t.largest_code()));
  }

  std::vector<float> run(const KernelTable& table, const LinearKernel& kernel,
                         std::size_t first_block, std::size_t inputs) const {
    Activations a(table, x, batch, inputs);
    std::vector<float> y(batch * rows, -7.0f);
    const LinearArgs args{codes.data(), scales.data(),
                          zeros.data(), rows,
                          cols,         x.data(),
                          inputs,       {a.codes.data(), a.scales.data(), a.sums.data(), a.stride},
                          batch,        y.data(),
                          rows,         row_scales.data()};
    const std::size_t blocks = (rows + kTileRows - 1) / kTileRows;
    kernel.function(args, first_block, blocks);
    kernel.function(args, 0, first_block);
    return y;
  }
};

}  // namespace

TEST(linear_kernels_agree_for_every_format_and_batch) {
  for (const WeightFormatTraits& t : weight_formats()) {
    for (int round = 0; round < 24; ++round) {
      const std::size_t rows = random_size(1, 70);
      const std::size_t inputs = random_size(1, 400);
      const std::size_t batch =
          round < 12 ? static_cast<std::size_t>(round + 1) : random_size(1, 40);
      const Linear linear(t, rows, inputs, batch, round % 5 == 0);
      const KernelTable& slow = scalar_table();
      const auto wanted = linear.run(slow, linear_kernel(slow, t.format, batch), 0, inputs);
      for (const KernelTable* fast : fast_tables()) {
        const LinearKernel& kernel = linear_kernel(*fast, t.format, batch);
        const std::string kind = !t.tiled() ? "linear" : batch <= kGemvRows ? "gemv" : "gemm";
        // i8mm gains nothing for so few rows of activations.
        const bool dot = kind == "gemv" && std::string(fast->isa) == "neon_i8mm";
        const std::string name = kind + "_" + std::string(t.name) + (t.tiled() ? "_a8_" : "_") +
                                 (dot ? "neon_dotprod" : fast->isa);
        CHECK_EQ(std::string(kernel.name), name);
        const auto got = linear.run(*fast, kernel, random_size(0, (rows - 1) / 16), inputs);
        check_same(*fast, kernel.name, same_bits(wanted, got));
      }
    }
  }
}

TEST(linear_kernels_agree_beyond_what_they_unpack_at_once) {
  for (const WeightFormatTraits& t : weight_formats()) {
    for (const std::size_t batch : {1u, 3u, 6u, 67u, 130u}) {
      const std::size_t rows = batch > 100 ? 17 : random_size(20, 40);
      const std::size_t inputs = batch > 100 ? 520 : random_size(900, 1300);
      const Linear linear(t, rows, inputs, batch, false);
      const KernelTable& slow = scalar_table();
      const auto wanted = linear.run(slow, linear_kernel(slow, t.format, batch), 0, inputs);
      for (const KernelTable* fast : fast_tables()) {
        const LinearKernel& kernel = linear_kernel(*fast, t.format, batch);
        check_same(*fast, kernel.name, same_bits(wanted, linear.run(*fast, kernel, 1, inputs)));
      }
    }
  }
}

namespace {

// The code of a row and an input, by weight_format.h's words.
int code_at(const std::uint8_t* block, unsigned bits, std::size_t row, std::size_t k) {
  const std::size_t at = row * 4 + k % 4;
  if (bits == 4) {
    const int byte = block[k / 8 * 64 + at];
    return k % 8 < 4 ? byte & 15 : byte >> 4;
  }
  if (bits == 2) return block[k / 16 * 64 + at] >> (k % 16 / 4 * 2) & 3;
  const std::uint8_t* tiles = block + k / 32 * 192 + at;
  const std::size_t within = k % 32;
  if (within < 24) return tiles[within / 8 * 64] >> (within % 8 < 4 ? 0 : 3) & 7;
  const int six = (tiles[0] >> 6) + 4 * (tiles[64] >> 6) + 16 * (tiles[128] >> 6);
  return within < 28 ? six & 7 : six >> 3;
}

}  // namespace

TEST(the_scalar_linear_kernel_is_the_sum_of_products) {
  for (const WeightFormat format : {WeightFormat::w4g32z, WeightFormat::w3g32z, WeightFormat::w3g32,
                                    WeightFormat::w2g32z, WeightFormat::w2g32}) {
    const WeightFormatTraits& t = traits(format);
    const Linear linear(t, 19, 77, 2, false);
    const auto y = linear.run(scalar_table(), linear_kernel(scalar_table(), t.format, 2), 0, 77);
    const Activations a(scalar_table(), linear.x, 2, 77);
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t r = 0; r < 19; ++r) {
        double sum = 0.0;
        double size = 0.0;
        for (std::size_t k = 0; k < linear.cols; ++k) {
          const std::size_t block = r / 16;
          const std::uint8_t* codes = linear.codes.data() + block * linear.cols * 2 * t.bits;
          const int code = code_at(codes, t.bits, r % 16, k);
          const std::size_t at = (block * (linear.cols / 32) + k / 32) * 16 + r % 16;
          const std::uint16_t half = linear.scales[at] & 0x7fff;
          const double magnitude = half < 0x400
                                       ? std::ldexp(half, -24)
                                       : std::ldexp(1024 + (half & 1023), (half >> 10) - 25);
          const double scale = linear.scales[at] & 0x8000 ? -magnitude : magnitude;
          const int zero = t.zero_points ? linear.zeros[at] : 1 << (t.bits - 1);
          const double product = (code - zero) * scale * a.codes[b * a.stride + k] * a.scales[b];
          sum += product;
          size += std::abs(product);
        }
        CHECK(std::abs(y[b * 19 + r] - sum) <= 1e-6 * size);
      }
    }
  }
}

TEST(the_scalar_float8_kernel_is_the_sum_of_products) {
  const WeightFormatTraits& t = traits(WeightFormat::f8e4m3);
  const std::size_t rows = 19, cols = 333;
  const Linear linear(t, rows, cols, 2, false);
  const auto y = linear.run(scalar_table(), linear_kernel(scalar_table(), t.format, 2), 0, cols);
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      double size = 0.0;
      for (std::size_t k = 0; k < cols; ++k) {
        const std::uint8_t code = linear.codes[r * 384 + k];
        const int exponent = code >> 3 & 15;
        const int mantissa = code & 7;
        const double value =
            exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
        const double scale = linear.row_scales[r * 3 + k / 128];
        const double product = (code & 0x80 ? -value : value) * scale * linear.x[b * cols + k];
        sum += product;
        size += std::abs(product);
      }
      CHECK(std::abs(y[b * rows + r] - sum) <= 1e-6 * size);
    }
  }
}

TEST(attention_and_pages_agree_for_every_format) {
  for (int round = 0; round < 75; ++round) {
    const KvFormat format = static_cast<KvFormat>(round % 3);
    const std::size_t f = static_cast<std::size_t>(format);
    const std::size_t dim = round < 30 ? random_size(1, 140) : 64;
    const std::size_t heads = random_size(1, 19);
    const std::size_t tokens = random_size(1, 200);
    const std::size_t padded = padded_head_dim(dim);
    const std::size_t bytes = kv_block_bytes(format, dim);
    auto keys = random_floats(tokens * dim, 3.0f);
    auto values = random_floats(tokens * dim);
    std::vector<float> q(heads * padded, 0.0f);
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t i = 0; i < dim; ++i) q[h * padded + i] = random_float(1.0f);
    }
    if (round >= 60) {
      // Every code and digit at its end, where 16-bit sums would saturate; tokens of equal weight.
      const float sign = round % 2 == 0 ? 1.0f : -1.0f;
      for (float& k : keys) k = round < 66 ? sign : std::copysign(1.0f, k);
      for (float& v : values) v = round < 66 ? sign : std::copysign(1.0f, v);
      for (float& x : q) x = x == 0.0f ? 0.0f : round < 70 ? 1.0f : std::copysign(1.0f, x);
    }
    auto run = [&](const KernelTable& table, std::vector<std::uint8_t>& memory) {
      const std::size_t pages = (tokens + 63) / 64;
      memory.assign(pages * 2 * bytes, 0);
      std::vector<const std::uint8_t*> page(pages);
      for (std::size_t i = 0; i < pages; ++i) page[i] = memory.data() + i * 2 * bytes;
      for (std::size_t t = 0; t < tokens; ++t) {
        std::uint8_t* block = memory.data() + t / 64 * 2 * bytes;
        table.store_key[f](keys.data() + t * dim, dim, t % 64, block);
        table.store_value[f](values.data() + t * dim, dim, t % 64, block + bytes);
      }
      std::vector<float> result(heads * (padded + 2));
      const AttentionArgs args{q.data(),
                               heads,
                               dim,
                               page.data(),
                               0,
                               bytes,
                               0,
                               tokens,
                               0.3f,
                               result.data(),
                               result.data() + heads,
                               result.data() + 2 * heads};
      table.attention[f](args);
      return result;
    };
    std::vector<std::uint8_t> memory, other;
    const auto wanted = run(scalar_table(), memory);
    for (const KernelTable* fast : fast_tables()) {
      const auto got = run(*fast, other);
      check_same(*fast, "pages", same_bits(memory, other));
      check_same(*fast, "attention", same_bits(wanted, got));
    }
    if (format != KvFormat::f32) continue;
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> weight(tokens);
      double largest = -1e300, total = 0.0;
      for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t i = 0; i < dim; ++i)
          weight[t] += q[h * padded + i] * keys[t * dim + i] * 0.3;
        largest = std::max(largest, weight[t]);
      }
      for (double& w : weight) total += w = std::exp(w - largest);
      for (std::size_t i = 0; i < dim; ++i) {
        double out = 0.0;
        double size = 0.0;
        for (std::size_t t = 0; t < tokens; ++t) {
          out += weight[t] / total * values[t * dim + i];
          size += weight[t] / total * std::abs(static_cast<double>(values[t * dim + i]));
        }
        const float got = wanted[2 * heads + h * padded + i] / wanted[heads + h];
        // Scores of size up to `largest` carry their rounding into the exponent.
        CHECK(std::abs(got - out) <= (2e-6 + 3e-7 * std::abs(largest)) * (size + 1e-3) * 20);
      }
    }
  }
}
