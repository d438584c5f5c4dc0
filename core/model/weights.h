// A model's weights, named and checked against its spec, wherever they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/weight_store.h"
#include "model/spec.h"
#include "ops/linear.h"

namespace pocketr1 {

// y += B (A x): A (rank, inputs), B (outputs, rank), both row-major.
// Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, section 4.1.
struct LowRank {
  std::size_t rank;
  std::vector<float> a;
  std::vector<float> b;
};

// A weight matrix, with its bias and its low-rank addend where it has them.
class LinearLayer {
 public:
  struct Workspace {
    AlignedBuffer<float> low;
    AlignedBuffer<float> high;
  };

  LinearLayer() = default;
  LinearLayer(const TensorRef* tensor, WeightProvider* provider)
      : tensor_(tensor), provider_(provider) {}

  std::string_view name() const { return tensor_->name; }
  WeightFormat format() const { return tensor_->format; }
  std::size_t rows() const { return static_cast<std::size_t>(tensor_->shape[0]); }
  std::size_t cols() const { return static_cast<std::size_t>(tensor_->shape[1]); }
  const std::vector<float>& bias() const { return bias_; }
  void set_bias(std::vector<float> bias) { bias_ = std::move(bias); }

  // Not while a step runs.
  void set_low_rank(std::shared_ptr<const LowRank> addend) { low_rank_ = std::move(addend); }

  bool has_low_rank() const { return low_rank_ != nullptr; }

  // The matrix, in memory for as long as this lives.
  class Held {
   public:
    explicit Held(const LinearLayer& layer);
    ~Held();
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    const Matrix& matrix() const { return matrix_; }

   private:
    const LinearLayer& layer_;
    std::size_t acquired_ = 0;  // parts whose segments are held
    Matrix matrix_;
    void release() noexcept;
  };

  // y: (batch, rows); adds the low-rank addend of an input to it, if there is one.
  void add_low_rank(const Context& context, LinearInput& input, float* y,
                    Workspace& workspace) const;
  void read_row(std::size_t row, float* out) const;

 private:
  const TensorRef* tensor_ = nullptr;
  WeightProvider* provider_ = nullptr;
  std::vector<float> bias_;
  std::shared_ptr<const LowRank> low_rank_;
};

// The outputs of layers that share an input; y: (batch, rows) each.
struct LayerOutput {
  const LinearLayer* layer;
  float* y;
};
void apply(const Context& context, std::span<const LayerOutput> outputs, LinearInput& input,
           LinearLayer::Workspace& workspace);

struct LayerWeights {
  std::vector<float> attn_norm;
  std::vector<float> mlp_norm;
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  LinearLayer q, k, v, o, gate, up, down;
};

class Weights {
 public:
  // Throws Error("bundle-invalid") naming a tensor that is missing, unknown, given twice, or of
  // another shape or format than the spec asks for.
  Weights(const ModelSpec& spec, WeightStore store);
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const LinearLayer& embed() const { return embed_; }
  const LinearLayer& head() const { return tied_ ? embed_ : head_; }
  const std::vector<float>& final_norm() const { return final_norm_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const WeightStore& store() const { return store_; }

  // The linear layer whose weight has that name (a tied embedding is the head's; one that is not
  // tied is only looked up, never multiplied); throws Error("usage-tensor") where none has.
  LinearLayer& linear(std::string_view name);

 private:
  WeightStore store_;
  bool tied_;
  LinearLayer embed_;
  LinearLayer head_;
  std::vector<float> final_norm_;
  std::vector<LayerWeights> layers_;
};

}  // namespace pocketr1
