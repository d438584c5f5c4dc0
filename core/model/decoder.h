// The forward pass.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>

#include "model/kv_cache.h"
#include "model/spec.h"
#include "model/weights.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/gated_linear.h"
#include "ops/linear.h"

namespace pocketr1 {

struct Row {
  std::int32_t sequence;
  std::size_t position;
  std::int32_t token;      // ignored where embedding is set
  const float* embedding;  // (hidden_size), or nullptr
};

struct StepOptions {
  // Called with the input of linear layers that share it, under the name of the first:
  // "layers.I.q.weight", ".o.weight", ".gate.weight", ".down.weight", and "head.weight" (only the
  // rows whose logits are asked for); what the last layer leaves, all rows, under
  // "final_norm.weight". data: (rows, dim).
  std::function<void(std::string_view name, const float* data, std::size_t rows, std::size_t dim)>
      hook;
  // Called before each layer; false cancels.
  std::function<bool(std::size_t layer, std::size_t layers)> progress;
  const std::atomic<bool>* cancel = nullptr;
};

class Decoder {
 public:
  // Rows that pass through the layers together; a longer batch goes in turns of this many.
  static constexpr std::size_t kRowsAtOnce = 256;

  Decoder(const ModelSpec& spec, const Weights& weights, KvCache& cache, Context context)
      : spec_(spec), weights_(weights), cache_(cache), context_(context) {}

  // Runs at most kRowsAtOnce rows whose K/V room is reserved, and writes the logits (wanted.size(),
  // vocab_size) of the rows with these indices. Throws Error("cancelled").
  void forward(std::span<const Row> rows, std::span<const std::size_t> wanted, float* logits,
               const StepOptions& options);

 private:
  // Adds what the block before left in out_ to the residual stream, normalizes it into normed_,
  // and quantizes that if a layer that reads it is tiled.
  LinearInput next_input(const std::vector<float>& gain, std::size_t rows,
                         std::initializer_list<const LinearLayer*> readers);
  void attention_block(std::size_t layer, std::span<const Row> rows, const StepOptions& options);
  void mlp_block(std::size_t layer, std::size_t rows, const StepOptions& options);

  const ModelSpec& spec_;
  const Weights& weights_;
  KvCache& cache_;
  Context context_;

  AlignedBuffer<float> x_;       // (rows, hidden): the residual stream
  AlignedBuffer<float> normed_;  // (rows, hidden)
  AlignedBuffer<float> q_;       // (rows, heads * head_dim)
  AlignedBuffer<float> k_;       // (rows, kv_heads * head_dim)
  AlignedBuffer<float> v_;
  AlignedBuffer<float> attended_;  // (rows, heads * head_dim)
  AlignedBuffer<float> gate_;      // (rows, ffn), where the product is wanted in floats
  AlignedBuffer<float> up_;
  AlignedBuffer<float> gated_;  // what gated_linear works with
  AlignedBuffer<float> out_;    // (rows, hidden): the last block's, not in the residual stream yet
  AlignedBuffer<float> cos_;    // (rows, head_dim / 2)
  AlignedBuffer<float> sin_;
  std::vector<AttentionRow> attention_rows_;
  LinearInput::Workspace quantized_;
  LinearInput::Workspace quantized_product_;
  LinearLayer::Workspace low_rank_;
  AttentionWorkspace attention_;
};

}  // namespace pocketr1
