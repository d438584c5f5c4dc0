// What a decoder computes: the "model" object of bundle.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace pocketr1 {

struct LayerSpec {
  std::size_t heads;
  std::size_t kv_heads;
  std::size_t ffn_size;
};

struct ModelSpec {
  std::string architecture;  // qwen2, llama, qwen3
  std::size_t hidden_size;
  std::size_t vocab_size;
  std::size_t head_dim;
  float rms_norm_eps;
  std::size_t max_positions;
  bool tied_embeddings;
  bool attention_bias;  // of q, k and v
  bool output_bias;     // of o
  bool mlp_bias;        // of gate, up and down
  bool qk_norm;
  std::vector<float> inv_freq;  // (head_dim / 2)
  float attention_scaling;      // of cos and sin
  std::vector<LayerSpec> layers;
  std::optional<std::int32_t> bos_token_id;
  std::vector<std::int32_t> eos_token_ids;
};

// Throws Error("json-invalid") naming the field that is missing, of the wrong type or out of range.
ModelSpec parse_model_spec(const Json& json);

struct ExpectedTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  // (rows, cols) or (n)
};

// Every tensor of the model, in decode order: embedding, layers, final norm, head.
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

}  // namespace pocketr1
