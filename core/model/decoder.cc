#include "model/decoder.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "ops/rope.h"

namespace pocketr1 {
namespace {

// Hands the input of a layer's weight to the hook, where there is one.
void show(const StepOptions& options, std::size_t layer, const char* weight, const float* data,
          std::size_t rows, std::size_t dim) {
  if (!options.hook) return;
  options.hook("layers." + std::to_string(layer) + "." + weight + ".weight", data, rows, dim);
}

}  // namespace

void Decoder::forward(std::span<const Row> rows, std::span<const std::size_t> wanted, float* logits,
                      const StepOptions& options) {
  const std::size_t n = rows.size();
  const std::size_t hidden = spec_.hidden_size;
  const std::size_t half = spec_.head_dim / 2;
  x_.reserve(n * hidden);
  normed_.reserve(n * hidden);
  out_.reserve(n * hidden);
  cos_.reserve(n * half);
  sin_.reserve(n * half);

  attention_rows_.clear();
  for (std::size_t r = 0; r < n; ++r) {
    float* x = x_.data() + r * hidden;
    if (rows[r].embedding != nullptr) {
      std::memcpy(x, rows[r].embedding, hidden * sizeof(float));
    } else {
      weights_.embed().read_row(static_cast<std::size_t>(rows[r].token), x);
    }
    rope_angles(spec_.inv_freq, rows[r].position, spec_.attention_scaling, cos_.data() + r * half,
                sin_.data() + r * half);
    attention_rows_.push_back({cache_.pages(rows[r].sequence), rows[r].position + 1});
  }

  const std::size_t layers = spec_.layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if ((options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) ||
        (options.progress && !options.progress(layer, layers))) {
      throw Error("cancelled", "", "the step was cancelled before layer " + std::to_string(layer));
    }
    attention_block(layer, rows, options);
    mlp_block(layer, n, options);
  }
  if (wanted.empty()) return;

  // Only the rows whose logits are asked for go on.
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::memcpy(out_.data() + i * hidden, x_.data() + wanted[i] * hidden, hidden * sizeof(float));
  }
  norm(out_.data(), weights_.final_norm(), wanted.size(), normed_.data());
  if (options.hook) options.hook("head.weight", normed_.data(), wanted.size(), hidden);
  LinearInput input(normed_.data(), wanted.size(), hidden, quantized_);
  weights_.head().apply(context_, input, logits, low_rank_);
}

void Decoder::attention_block(std::size_t index, std::span<const Row> rows,
                              const StepOptions& options) {
  const LayerSpec& shape = spec_.layers[index];
  const LayerWeights& layer = weights_.layers()[index];
  const std::size_t n = rows.size();
  const std::size_t head_dim = spec_.head_dim;
  const std::size_t q_size = shape.heads * head_dim;
  const std::size_t kv_size = shape.kv_heads * head_dim;
  q_.reserve(n * q_size);
  k_.reserve(n * kv_size);
  v_.reserve(n * kv_size);
  attended_.reserve(n * q_size);

  norm(x_.data(), layer.attn_norm, n, normed_.data());
  show(options, index, "q", normed_.data(), n, spec_.hidden_size);
  LinearInput input(normed_.data(), n, spec_.hidden_size, quantized_);
  layer.q.apply(context_, input, q_.data(), low_rank_);
  layer.k.apply(context_, input, k_.data(), low_rank_);
  layer.v.apply(context_, input, v_.data(), low_rank_);

  const KvFormat format = cache_.format();
  const auto store_kv = context_.kernels.store_kv[static_cast<std::size_t>(format)];
  const std::size_t block = kv_block_bytes(format, head_dim);
  const std::size_t offset = cache_.layer_offset(index);
  context_.pool.run(n, [&](std::size_t r, unsigned) {
    float* q = q_.data() + r * q_size;
    float* k = k_.data() + r * kv_size;
    if (spec_.qk_norm) {
      for (std::size_t h = 0; h < shape.heads; ++h) {
        float* head = q + h * head_dim;
        context_.kernels.rms_norm(head, layer.q_norm.data(), spec_.rms_norm_eps, head_dim, head);
      }
      for (std::size_t h = 0; h < shape.kv_heads; ++h) {
        float* head = k + h * head_dim;
        context_.kernels.rms_norm(head, layer.k_norm.data(), spec_.rms_norm_eps, head_dim, head);
      }
    }
    const float* cos = cos_.data() + r * (head_dim / 2);
    const float* sin = sin_.data() + r * (head_dim / 2);
    rope(q, shape.heads, head_dim, cos, sin);
    rope(k, shape.kv_heads, head_dim, cos, sin);

    const std::size_t position = rows[r].position;
    std::uint8_t* page = cache_.pages(rows[r].sequence)[position / kPageTokens] + offset;
    for (std::size_t h = 0; h < shape.kv_heads; ++h) {
      const std::size_t token = position % kPageTokens;
      const float* v = v_.data() + r * kv_size;
      store_kv(k + h * head_dim, head_dim, token, page + h * 2 * block);
      store_kv(v + h * head_dim, head_dim, token, page + h * 2 * block + block);
    }
  });

  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
  attention(context_, {format, shape.heads, shape.kv_heads, head_dim, offset, scale},
            attention_rows_.data(), n, q_.data(), attended_.data(), attention_);
  show(options, index, "o", attended_.data(), n, q_size);
  LinearInput attended(attended_.data(), n, q_size, quantized_);
  layer.o.apply(context_, attended, out_.data(), low_rank_);
  add_to_residual(out_.data(), n);
}

void Decoder::mlp_block(std::size_t index, std::size_t n, const StepOptions& options) {
  const LayerWeights& layer = weights_.layers()[index];
  const std::size_t ffn = spec_.layers[index].ffn_size;
  gate_.reserve(n * ffn);
  up_.reserve(n * ffn);

  norm(x_.data(), layer.mlp_norm, n, normed_.data());
  show(options, index, "gate", normed_.data(), n, spec_.hidden_size);
  LinearInput input(normed_.data(), n, spec_.hidden_size, quantized_);
  layer.gate.apply(context_, input, gate_.data(), low_rank_);
  layer.up.apply(context_, input, up_.data(), low_rank_);
  context_.pool.run(n, [&](std::size_t r, unsigned) {
    context_.kernels.silu_mul(gate_.data() + r * ffn, up_.data() + r * ffn, ffn,
                              gate_.data() + r * ffn);
  });
  show(options, index, "down", gate_.data(), n, ffn);
  LinearInput product(gate_.data(), n, ffn, quantized_);
  layer.down.apply(context_, product, out_.data(), low_rank_);
  add_to_residual(out_.data(), n);
}

void Decoder::norm(const float* x, const std::vector<float>& gain, std::size_t rows, float* y) {
  const std::size_t n = gain.size();
  context_.pool.run(rows, [&](std::size_t r, unsigned) {
    context_.kernels.rms_norm(x + r * n, gain.data(), spec_.rms_norm_eps, n, y + r * n);
  });
}

void Decoder::add_to_residual(const float* y, std::size_t rows) {
  float* x = x_.data();
  for (std::size_t i = 0; i < rows * spec_.hidden_size; ++i) x[i] += y[i];
}

}  // namespace pocketr1
