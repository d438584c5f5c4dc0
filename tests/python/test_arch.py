"""config.json -> ModelSpec and tensor names."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from pocketr1 import arch
from pocketr1.errors import BundleError, CheckpointError

WHERE = Path("model/config.json")

# The published configurations, reduced to the keys that matter.
R1_QWEN_1_5B: dict[str, Any] = {
    "model_type": "qwen2",
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "max_position_embeddings": 131072,
    "max_window_layers": 21,
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
R1_LLAMA_8B: dict[str, Any] = {
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}
R1_QWEN3_8B: dict[str, Any] = {
    "model_type": "qwen3",
    "attention_bias": False,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 131072,
    "max_window_layers": 36,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
        "attn_factor": 0.8782488562869419,
    },
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}


def read(config: dict[str, Any], **changes: Any) -> arch.Architecture:
    return arch.from_config({**config, **changes}, WHERE)


def refusal(config: dict[str, Any], **changes: Any) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read(config, **changes)
    return caught.value


def test_r1_distill_qwen_1_5b() -> None:
    spec = read(R1_QWEN_1_5B).spec
    assert spec.architecture == "qwen2"
    assert (spec.hidden_size, spec.vocab_size, spec.head_dim) == (1536, 151936, 128)
    assert spec.layers == (arch.LayerSpec(12, 2, 8960),) * 28
    assert (spec.attention_bias, spec.output_bias, spec.mlp_bias) == (True, False, False)
    assert not spec.tied_embeddings
    assert not spec.qk_norm
    assert spec.eos_token_ids == (151643,)
    assert spec.rope.attention_scaling == 1.0


def test_parameter_count_of_each_published_shape() -> None:
    def count(config: dict[str, Any]) -> int:
        total = 0
        for shape in arch.expected_tensors(read(config).spec).values():
            size = 1
            for extent in shape:
                size *= extent
            total += size
        return total

    assert count(R1_QWEN_1_5B) == 1_777_088_000
    assert count(R1_LLAMA_8B) == 8_030_261_248
    assert count(R1_QWEN3_8B) == 8_190_735_360


def test_tensors_have_hugging_face_names() -> None:
    names = read(R1_QWEN3_8B).tensor_names
    assert names["embed.weight"] == "model.embed_tokens.weight"
    assert names["layers.35.q_norm.weight"] == "model.layers.35.self_attn.q_norm.weight"
    assert names["layers.7.mlp_norm.weight"] == "model.layers.7.post_attention_layernorm.weight"
    assert names["head.weight"] == "lm_head.weight"
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("config", "changes", "wanted"),
    [
        (R1_QWEN_1_5B, {}, {"q.bias", "k.bias", "v.bias"}),
        (R1_LLAMA_8B, {"attention_bias": True}, {"q.bias", "k.bias", "v.bias", "o.bias"}),
        (R1_LLAMA_8B, {"mlp_bias": True}, {"gate.bias", "up.bias", "down.bias"}),
        (R1_QWEN3_8B, {"attention_bias": True}, {"q.bias", "k.bias", "v.bias", "o.bias"}),
        (R1_QWEN3_8B, {"mlp_bias": True}, set()),
    ],
)
def test_biases_follow_architecture_and_config(
    config: dict[str, Any], changes: dict[str, Any], wanted: set[str]
) -> None:
    model = read(config, **changes)
    tensors = arch.expected_tensors(model.spec)
    assert set(model.tensor_names) == set(tensors)
    found = {name[len("layers.0.") :] for name in tensors if name.startswith("layers.0.")}
    assert {name for name in found if name.endswith(".bias")} == wanted


def test_tied_embeddings_need_no_head() -> None:
    assert "head.weight" not in read(R1_QWEN_1_5B, tie_word_embeddings=True).tensor_names


def test_head_dim_need_not_be_hidden_over_heads() -> None:
    spec = read(R1_LLAMA_8B, head_dim=96, num_attention_heads=24, num_key_value_heads=8).spec
    tensors = arch.expected_tensors(spec)
    assert tensors["layers.0.q.weight"] == (2304, 4096)
    assert tensors["layers.0.k.weight"] == (768, 4096)
    assert tensors["layers.0.o.weight"] == (4096, 2304)


def test_qwen3_head_dim_defaults_to_128() -> None:
    config = {key: value for key, value in R1_QWEN3_8B.items() if key != "head_dim"}
    assert read(config, hidden_size=1024).spec.head_dim == 128


def test_generation_config_names_the_tokens_first() -> None:
    generation = {"bos_token_id": 151646, "eos_token_id": [151643, 151647]}
    spec = arch.from_config(R1_QWEN_1_5B, WHERE, generation).spec
    assert spec.bos_token_id == 151646
    assert spec.eos_token_ids == (151643, 151647)


def test_eos_may_be_a_list() -> None:
    assert read(R1_LLAMA_8B, eos_token_id=[128001, 128009]).spec.eos_token_ids == (128001, 128009)


@pytest.mark.parametrize("config", [R1_QWEN_1_5B, R1_LLAMA_8B, R1_QWEN3_8B])
def test_spec_survives_json_bit_for_bit(config: dict[str, Any]) -> None:
    spec = read(config).spec
    assert arch.ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_rope_values_are_float32() -> None:
    rope = read(R1_QWEN3_8B).spec.rope
    for value in (*rope.inv_freq, rope.attention_scaling):
        assert struct.unpack("f", struct.pack("f", value))[0] == value


def test_attn_factor_has_no_effect_as_in_transformers() -> None:
    rope = read(R1_QWEN3_8B).spec.rope
    assert rope.attention_scaling == pytest.approx(1.1386294, abs=1e-7)  # 0.1 ln 4 + 1


def test_rope_parameters_is_the_newer_spelling() -> None:
    old = {key: value for key, value in R1_LLAMA_8B.items() if not key.startswith("rope_")}
    new = read(old, rope_parameters={**R1_LLAMA_8B["rope_scaling"], "rope_theta": 500000.0})
    assert new.spec.rope == read(R1_LLAMA_8B).spec.rope
    older = {**R1_LLAMA_8B["rope_scaling"], "type": "llama3"}
    del older["rope_type"]
    assert read(R1_LLAMA_8B, rope_scaling=older).spec.rope == new.spec.rope


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.rope_type"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_scaling.rope_type"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "rope_parameters.rope_type"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"head_dim": 127}, "head_dim"),
    ],
)
def test_what_is_not_supported_is_refused_by_key(changes: dict[str, Any], key: str) -> None:
    error = refusal(R1_QWEN_1_5B, **changes)
    assert error.code == "checkpoint-config-unsupported"
    assert error.params["key"] == key
    assert str(WHERE) in str(error)


def test_a_sliding_window_that_reaches_no_layer_is_full_attention() -> None:
    assert read(R1_QWEN_1_5B, use_sliding_window=True, max_window_layers=28)
    assert read(R1_QWEN_1_5B, use_sliding_window=True, sliding_window=None)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "1536"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"num_attention_heads": 14, "hidden_size": 1537}, "hidden_size"),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps"),
        ({"eos_token_id": [1, "2"]}, "eos_token_id"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"model_type": None}, "model_type"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "rope_scaling.factor"),
        ({"rope_scaling": "yarn"}, "rope_scaling"),
    ],
)
def test_what_makes_no_sense_is_refused_by_key(changes: dict[str, Any], key: str) -> None:
    error = refusal(R1_QWEN_1_5B, **changes)
    assert error.code == "checkpoint-config-invalid"
    assert error.params["key"] == key


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "deepseek_v3", "n_routed_experts": 256},
        {"model_type": "qwen3_moe", "num_experts": 128},
        {"model_type": "mixtral"},
    ],
)
def test_mixtures_of_experts_are_refused(changes: dict[str, Any]) -> None:
    assert refusal(R1_QWEN_1_5B, **changes).code == "checkpoint-experts"


def test_another_model_type_is_refused() -> None:
    error = refusal(R1_QWEN_1_5B, model_type="gpt2")
    assert error.code == "checkpoint-architecture"
    assert "llama, qwen2, qwen3" in str(error)


def test_from_dict_names_the_field_that_is_wrong() -> None:
    good = read(R1_QWEN_1_5B).spec.to_dict()
    for change, field in [
        ({"hidden_size": -1}, "hidden_size"),
        ({"rope": {"inv_freq": [1.0], "attention_scaling": 1.0}}, "rope.inv_freq"),
        ({"layers": [{"heads": 3, "kv_heads": 2, "ffn_size": 1}]}, "layers[0].heads"),
        ({"layers": []}, "layers"),
        ({"colour": "red"}, "colour"),
        ({"eos_token_ids": [1.5]}, "eos_token_ids[0]"),
    ]:
        with pytest.raises(BundleError) as caught:
            arch.ModelSpec.from_dict({**good, **change})
        assert caught.value.params["field"] == field
    with pytest.raises(BundleError) as caught:
        arch.ModelSpec.from_dict({k: v for k, v in good.items() if k != "head_dim"})
    assert caught.value.params["field"] == "head_dim"
