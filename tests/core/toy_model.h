// A small random model in memory, the same on every machine: integers of std::mt19937, whose stream
// the standard fixes, and exact arithmetic.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "model/model.h"

namespace pocketr1::test {

class MemoryProvider : public WeightProvider {
 public:
  std::vector<AlignedBuffer<std::uint8_t>> segments;
  const std::uint8_t* acquire(std::uint32_t segment) override { return segments[segment].data(); }
  void release(std::uint32_t) noexcept override {}
  void read(std::uint32_t segment, std::uint64_t offset, void* out,
            std::size_t size) const override {
    std::memcpy(out, segments[segment].data() + offset, size);
  }
};

struct ToyOptions {
  WeightFormat matrices = WeightFormat::w4g32;
  bool tied = false;
  bool biases = true;
  bool qk_norm = true;
  std::size_t parts = 2;  // per matrix, where it has rows enough
};

inline ModelSpec toy_spec(const ToyOptions& options) {
  ModelSpec spec;
  spec.architecture = "qwen3";
  spec.hidden_size = 72;
  spec.vocab_size = 203;
  spec.head_dim = 24;
  spec.rms_norm_eps = 1e-6f;
  spec.max_positions = 4096;
  spec.tied_embeddings = options.tied;
  spec.attention_bias = spec.output_bias = spec.mlp_bias = options.biases;
  spec.qk_norm = options.qk_norm;
  for (int i = 0; i < 12; ++i) spec.inv_freq.push_back(1.0f / static_cast<float>(1 << i));
  spec.attention_scaling = 1.0f;
  spec.layers = {{6, 2, 100}, {4, 4, 60}};
  spec.bos_token_id = 1;
  spec.eos_token_ids = {2};
  return spec;
}

class ToyWeights {
 public:
  explicit ToyWeights(const ToyOptions& options) : options_(options) {}

  WeightStore make(const ModelSpec& spec) {
    for (const ExpectedTensor& tensor : expected_tensors(spec)) add(tensor);
    store_.provider = provider_;
    return store_;
  }
  MemoryProvider& provider() { return *provider_; }

 private:
  float unit() { return (static_cast<float>(random_() >> 16) - 32768.0f) / 32768.0f; }

  void add(const ExpectedTensor& tensor) {
    const bool vector = tensor.shape.size() == 1;
    const WeightFormat format = vector ? WeightFormat::f32 : options_.matrices;
    TensorRef ref{tensor.name, format, tensor.shape, {}};
    const std::uint64_t rows = vector ? 1 : tensor.shape[0];
    const std::uint64_t cols = vector ? tensor.shape[0] : tensor.shape[1];
    const std::uint64_t slab =
        options_.parts < 2 || rows < 32 ? rows : (rows / options_.parts + 15) / 16 * 16;
    const bool norm = tensor.name.find("norm") != std::string::npos;
    for (std::uint64_t row = 0; row < rows; row += slab) {
      const std::uint64_t count = std::min(slab, rows - row);
      const auto segment = static_cast<std::uint32_t>(provider_->segments.size());
      provider_->segments.emplace_back(packed_size(format, count, cols).total());
      fill(provider_->segments.back().data(), format, count, cols, norm);
      ref.parts.push_back({row, vector ? 1 : count, segment, 0});
      store_.segments.push_back({0, 0, packed_size(format, count, cols).total()});
    }
    store_.tensors.push_back(std::move(ref));
  }

  void fill(std::uint8_t* out, WeightFormat format, std::uint64_t rows, std::uint64_t cols,
            bool norm) {
    const WeightFormatTraits& t = traits(format);
    const PackedSize size = packed_size(format, rows, cols);
    if (t.float8()) {
      for (std::size_t i = 0; i < size.codes; ++i) {
        const auto code = static_cast<std::uint8_t>(random_() >> 24);
        out[i] = (code & 0x7f) == 0x7f ? 0 : code;
      }
      for (std::size_t i = 0; i < size.scales; i += 4) {
        const float scale = (1.0f + 0.5f * unit()) / 512.0f;
        std::memcpy(out + size.codes + i, &scale, 4);
      }
      return;
    }
    if (t.tiled()) {
      for (std::size_t i = 0; i < size.codes; ++i) {
        std::uint8_t code = static_cast<std::uint8_t>(random_() >> 24);
        out[i] = t.bits == 8 && code == 0x80 ? 0 : code;
      }
      for (std::size_t i = 0; i < size.scales; i += 2) {
        // f16 between 2^-7 and 2^-5 (4 bits and fewer) or 2^-11 and 2^-9 (8 bits)
        const std::uint16_t exponent = t.bits == 8 ? 4 : 8;
        const auto scale = static_cast<std::uint16_t>((exponent << 10) + (random_() >> 21));
        std::memcpy(out + size.codes + i, &scale, 2);
      }
      for (std::size_t i = 0; i < size.zeros; ++i) {
        out[size.codes + size.scales + i] =
            static_cast<std::uint8_t>((random_() >> 28) & t.largest_code());
      }
      return;
    }
    for (std::uint64_t i = 0; i < rows * cols; ++i) {
      const float x = norm ? 1.0f + 0.25f * unit() : 0.25f * unit();
      std::uint32_t bits;
      std::memcpy(&bits, &x, 4);
      const auto high = static_cast<std::uint16_t>(bits >> 16);
      if (format == WeightFormat::f32) std::memcpy(out + 4 * i, &x, 4);
      if (format == WeightFormat::bf16) std::memcpy(out + 2 * i, &high, 2);
      // f16 of the same size: 10 bits of mantissa behind an exponent below 1
      const auto half = static_cast<std::uint16_t>((random_() >> 16 & 0x83ffu) | 0x2c00u);
      if (format == WeightFormat::f16) std::memcpy(out + 2 * i, &half, 2);
    }
  }

  ToyOptions options_;
  std::mt19937 random_{11};
  WeightStore store_;
  std::shared_ptr<MemoryProvider> provider_ = std::make_shared<MemoryProvider>();
};

inline std::shared_ptr<Model> toy_model(const ToyOptions& options = {}) {
  ModelSpec spec = toy_spec(options);
  WeightStore store = ToyWeights(options).make(spec);
  return std::make_shared<Model>(std::move(spec), std::move(store));
}

}  // namespace pocketr1::test
