#include "model/decoder.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "model/apply.h"
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
  const Weights::Pass pass(weights_, !wanted.empty());
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

  std::memset(out_.data(), 0, n * hidden * sizeof(float));
  const std::size_t layers = spec_.layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if ((options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) ||
        (options.progress && !options.progress(layer, layers))) {
      throw Error("cancelled", "", "the step was cancelled before layer " + std::to_string(layer));
    }
    attention_block(layer, rows, options);
    mlp_block(layer, n, options);
  }
  if (options.hook) {
    for (std::size_t i = 0; i < n * hidden; ++i) x_.data()[i] += out_.data()[i];
    std::memset(out_.data(), 0, n * hidden * sizeof(float));
    options.hook("final_norm.weight", x_.data(), n, hidden);
  }
  if (wanted.empty()) return;

  // Only the rows whose logits are asked for go on; they are ascending.
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (float* all : {x_.data(), out_.data()}) {
      std::memmove(all + i * hidden, all + wanted[i] * hidden, hidden * sizeof(float));
    }
  }
  LinearInput input = next_input(weights_.final_norm(), wanted.size(), {&weights_.head()});
  if (options.hook) options.hook("head.weight", normed_.data(), wanted.size(), hidden);
  const LayerOutput head{&weights_.head(), logits};
  apply(context_, {&head, 1}, input, low_rank_);
}

LinearInput Decoder::next_input(const std::vector<float>& gain, std::size_t rows,
                                std::initializer_list<const LinearLayer*> readers) {
  const std::size_t n = gain.size();
  LinearInput input(normed_.data(), rows, n, quantized_);
  bool tiled = false;
  for (const LinearLayer* reader : readers) tiled = tiled || traits(reader->format()).tiled();
  if (tiled) input.fill();
  context_.pool.run(rows, [&](std::size_t r, unsigned) {
    float* x = x_.data() + r * n;
    const float* out = out_.data() + r * n;
    for (std::size_t i = 0; i < n; ++i) x[i] += out[i];
    context_.kernels.rms_norm(x, gain.data(), spec_.rms_norm_eps, n, normed_.data() + r * n);
    if (tiled) input.quantize_row(context_, r);
  });
  return input;
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

  LinearInput input = next_input(layer.attn_norm, n, {&layer.q, &layer.k, &layer.v});
  show(options, index, "q", normed_.data(), n, spec_.hidden_size);
  const LayerOutput outputs[] = {
      {&layer.q, q_.data()}, {&layer.k, k_.data()}, {&layer.v, v_.data()}};
  apply(context_, outputs, input, low_rank_);

  const KvFormat format = cache_.format();
  const auto store_key = context_.kernels.store_key[static_cast<std::size_t>(format)];
  const auto store_value = context_.kernels.store_value[static_cast<std::size_t>(format)];
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
      store_key(k + h * head_dim, head_dim, token, page + h * 2 * block);
      store_value(v + h * head_dim, head_dim, token, page + h * 2 * block + block);
    }
  });

  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
  attention(context_, {format, shape.heads, shape.kv_heads, head_dim, offset, scale},
            attention_rows_.data(), n, q_.data(), attended_.data(), attention_);
  show(options, index, "o", attended_.data(), n, q_size);
  LinearInput attended(attended_.data(), n, q_size, quantized_);
  const LayerOutput out{&layer.o, out_.data()};
  apply(context_, {&out, 1}, attended, low_rank_);
}

void Decoder::mlp_block(std::size_t index, std::size_t n, const StepOptions& options) {
  const LayerWeights& layer = weights_.layers()[index];
  const std::size_t ffn = spec_.layers[index].ffn_size;
  LinearInput input = next_input(layer.mlp_norm, n, {&layer.gate, &layer.up});
  show(options, index, "gate", normed_.data(), n, spec_.hidden_size);

  const bool tiled = traits(layer.down.format()).tiled();
  const bool addends = layer.gate.has_low_rank() || layer.up.has_low_rank();
  const bool floats = options.hook || !tiled || layer.down.has_low_rank() || addends;
  if (floats) gate_.reserve(n * ffn);
  LinearInput product(floats ? gate_.data() : nullptr, n, ffn, quantized_product_);
  if (addends) {
    up_.reserve(n * ffn);
    const LayerOutput outputs[] = {{&layer.gate, gate_.data()}, {&layer.up, up_.data()}};
    apply(context_, outputs, input, low_rank_);
    context_.pool.run(n, [&](std::size_t r, unsigned) {
      float* row = gate_.data() + r * ffn;
      context_.kernels.silu_mul(row, up_.data() + r * ffn, ffn, row);
    });
  } else {
    apply_gated(context_, layer.gate, layer.up, input,
                {floats ? gate_.data() : nullptr, tiled ? &product : nullptr}, gated_);
  }
  if (floats) show(options, index, "down", gate_.data(), n, ffn);
  const LayerOutput out{&layer.down, out_.data()};
  apply(context_, {&out, 1}, product, low_rank_);
}

}  // namespace pocketr1
