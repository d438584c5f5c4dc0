#include "model/spec.h"

#include <cmath>

#include "formats/kv_format.h"

namespace pocketr1 {
namespace {

// Beyond every published model by far, and small enough that no product of two overflows.
constexpr std::int64_t kLargest = std::int64_t{1} << 26;
// Angles up to this many radians are exact: see sin_cos.
constexpr std::int64_t kMostPositions = std::int64_t{1} << 20;
constexpr std::int64_t kMostHeads = 1024;
constexpr std::int64_t kMostLayers = 4096;

std::size_t size(const Json& json, std::string_view key, std::int64_t most) {
  return static_cast<std::size_t>(json.at(key).integer(1, most));
}

float positive(const Json& value) {
  const float x = static_cast<float>(value.number());
  if (!(x > 0.0f) || !std::isfinite(x)) value.fail("is not a positive float32");
  return x;
}

}  // namespace

ModelSpec parse_model_spec(const Json& json) {
  json.only({"architecture", "hidden_size", "vocab_size", "head_dim", "rms_norm_eps",
             "max_positions", "tied_embeddings", "attention_bias", "output_bias", "mlp_bias",
             "qk_norm", "rope", "layers", "bos_token_id", "eos_token_ids"});
  ModelSpec spec;
  spec.architecture = json.at("architecture").string();
  spec.hidden_size = size(json, "hidden_size", kLargest);
  spec.vocab_size = size(json, "vocab_size", kLargest);
  spec.head_dim = size(json, "head_dim", kLargestHeadDim);
  if (spec.head_dim % 2 != 0) json.at("head_dim").fail("is odd; rotary embedding needs pairs");
  spec.rms_norm_eps = positive(json.at("rms_norm_eps"));
  spec.max_positions = size(json, "max_positions", kMostPositions);
  spec.tied_embeddings = json.at("tied_embeddings").boolean();
  spec.attention_bias = json.at("attention_bias").boolean();
  spec.output_bias = json.at("output_bias").boolean();
  spec.mlp_bias = json.at("mlp_bias").boolean();
  spec.qk_norm = json.at("qk_norm").boolean();

  const Json rope = json.at("rope");
  rope.only({"inv_freq", "attention_scaling"});
  const Json frequencies = rope.at("inv_freq");
  if (!frequencies.is_array() || frequencies.size() != spec.head_dim / 2) {
    frequencies.fail("does not have head_dim / 2 numbers");
  }
  for (const Json value : frequencies) {
    const float frequency = static_cast<float>(value.number());
    // With kMostPositions: the angle of the last position stays where sin_cos is exact.
    if (!(frequency >= 0.0f && frequency <= 1.0f)) value.fail("is not within 0 and 1");
    spec.inv_freq.push_back(frequency);
  }
  spec.attention_scaling = positive(rope.at("attention_scaling"));

  const Json layers = json.at("layers");
  if (!layers.is_array() || layers.size() == 0 ||
      layers.size() > static_cast<std::size_t>(kMostLayers)) {
    layers.fail("is not a list of 1 to 4096 layers");
  }
  for (const Json layer : layers) {
    layer.only({"heads", "kv_heads", "ffn_size"});
    const LayerSpec one{size(layer, "heads", kMostHeads), size(layer, "kv_heads", kMostHeads),
                        size(layer, "ffn_size", kLargest)};
    if (one.heads % one.kv_heads != 0) layer.at("heads").fail("is no multiple of kv_heads");
    spec.layers.push_back(one);
  }

  const Json bos = json.at("bos_token_id");
  const auto last_token = static_cast<std::int64_t>(spec.vocab_size) - 1;
  if (!bos.is_null()) spec.bos_token_id = static_cast<std::int32_t>(bos.integer(0, last_token));
  for (const Json eos : json.at("eos_token_ids")) {
    spec.eos_token_ids.push_back(static_cast<std::int32_t>(eos.integer(0, last_token)));
  }
  return spec;
}

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  std::vector<ExpectedTensor> out;
  const std::uint64_t hidden = spec.hidden_size;
  out.push_back({"embed.weight", {spec.vocab_size, hidden}});
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    const std::string prefix = "layers." + std::to_string(i) + ".";
    const std::uint64_t q = layer.heads * spec.head_dim;
    const std::uint64_t kv = layer.kv_heads * spec.head_dim;
    const std::uint64_t ffn = layer.ffn_size;
    auto add = [&](const char* name, std::vector<std::uint64_t> shape) {
      out.push_back({prefix + name, std::move(shape)});
    };
    add("attn_norm.weight", {hidden});
    add("q.weight", {q, hidden});
    add("k.weight", {kv, hidden});
    add("v.weight", {kv, hidden});
    if (spec.attention_bias) {
      add("q.bias", {q});
      add("k.bias", {kv});
      add("v.bias", {kv});
    }
    if (spec.qk_norm) {
      add("q_norm.weight", {spec.head_dim});
      add("k_norm.weight", {spec.head_dim});
    }
    add("o.weight", {hidden, q});
    if (spec.output_bias) add("o.bias", {hidden});
    add("mlp_norm.weight", {hidden});
    add("gate.weight", {ffn, hidden});
    add("up.weight", {ffn, hidden});
    if (spec.mlp_bias) {
      add("gate.bias", {ffn});
      add("up.bias", {ffn});
    }
    add("down.weight", {hidden, ffn});
    if (spec.mlp_bias) add("down.bias", {hidden});
  }
  out.push_back({"final_norm.weight", {hidden}});
  if (!spec.tied_embeddings) out.push_back({"head.weight", {spec.vocab_size, hidden}});
  return out;
}

}  // namespace pocketr1
