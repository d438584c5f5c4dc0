#include "ops/rope.h"

#include <cmath>
#include <random>

#include "base/json.h"
#include "check.h"
#include "model/spec.h"

using namespace pocketr1;

TEST(sin_and_cos_are_right_to_the_last_place_over_all_positions) {
  std::mt19937 random(3);
  for (int i = 0; i < 200000; ++i) {
    // Angles are float32: small ones, and some of any size up to 2^20.
    const double unit = static_cast<double>(random()) / 4294967296.0;
    const float x = static_cast<float>(i % 2 == 0 ? unit * 8.0 : unit * 1048576.0);
    const SinCos got = sin_cos(static_cast<double>(x));
    CHECK(std::abs(got.sin - static_cast<double>(std::sin(static_cast<long double>(x)))) < 3e-16);
    CHECK(std::abs(got.cos - static_cast<double>(std::cos(static_cast<long double>(x)))) < 3e-16);
  }
}

TEST(sin_and_cos_near_multiples_of_a_quarter_turn_keep_their_digits) {
  for (int quarter = 1; quarter < 660000; quarter += 37) {
    const float x = static_cast<float>(quarter * 1.57079632679489661923);
    const SinCos got = sin_cos(static_cast<double>(x));
    const double sin = static_cast<double>(std::sin(static_cast<long double>(x)));
    const double cos = static_cast<double>(std::cos(static_cast<long double>(x)));
    CHECK(std::abs(got.sin - sin) <= 1e-14 * std::abs(sin));
    CHECK(std::abs(got.cos - cos) <= 1e-14 * std::abs(cos));
  }
}

TEST(channel_i_turns_with_channel_i_plus_half_the_head) {
  // Two heads of four channels, turned by 0.3 and 0.01 radians a position, at position 7.
  const std::vector<float> inv_freq{0.3f, 0.01f};
  std::vector<float> cos(2), sin(2);
  rope_angles(inv_freq, 7, 1.5f, cos.data(), sin.data());
  const std::vector<float> x{1.0f, 2.0f, 3.0f, 4.0f, -1.0f, 0.5f, 0.25f, 2.0f};
  std::vector<float> y = x;
  rope(y.data(), 2, 4, cos.data(), sin.data());
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t i = 0; i < 2; ++i) {
      const double angle = 7.0 * static_cast<double>(inv_freq[i]);
      const double a = x[4 * h + i];
      const double b = x[4 * h + 2 + i];
      CHECK(std::abs(y[4 * h + i] - 1.5 * (a * std::cos(angle) - b * std::sin(angle))) < 2e-6);
      CHECK(std::abs(y[4 * h + 2 + i] - 1.5 * (b * std::cos(angle) + a * std::sin(angle))) < 2e-6);
    }
  }
}

TEST(positions_beyond_the_exact_angles_are_refused) {
  auto spec = [](const char* positions) {
    return parse_model_spec(Json::parse(
        R"({"architecture": "qwen2", "hidden_size": 8, "vocab_size": 16, "head_dim": 2,
            "rms_norm_eps": 1e-6, "max_positions": )" +
        std::string(positions) +
        R"(, "tied_embeddings": true, "attention_bias": false, "output_bias": false,
            "mlp_bias": false, "qk_norm": false,
            "rope": {"inv_freq": [1.0], "attention_scaling": 1.0},
            "layers": [{"heads": 1, "kv_heads": 1, "ffn_size": 8}],
            "bos_token_id": null, "eos_token_ids": []})"));
  };
  CHECK_EQ(spec("1048576").max_positions, 1048576u);
  CHECK_ERROR(spec("1048577"), "json-invalid");
}
