// A model's weights, named and checked against its spec, wherever they come from.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bundle/weight_store.h"
#include "bundle/weight_stream.h"
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

// Where the bytes of weights come from: segments of the provider, or, under a limit, slices of a
// stream.
struct WeightAccess {
  WeightStore store;
  std::unique_ptr<WeightStream> stream;
};

// A weight matrix, with its bias and its low-rank addend where it has them.
class LinearLayer {
 public:
  struct Workspace {
    AlignedBuffer<float> low;
    AlignedBuffer<float> high;
  };

  LinearLayer() = default;
  LinearLayer(const TensorRef* tensor, const WeightAccess* access)
      : tensor_(tensor), access_(access) {}

  std::string_view name() const { return tensor_->name; }
  WeightFormat format() const { return tensor_->format; }
  std::size_t rows() const { return static_cast<std::size_t>(tensor_->shape[0]); }
  std::size_t cols() const { return static_cast<std::size_t>(tensor_->shape[1]); }
  const std::vector<float>& bias() const { return bias_; }
  void set_bias(std::vector<float> bias) { bias_ = std::move(bias); }

  // Not while a step runs.
  void set_low_rank(std::shared_ptr<const LowRank> addend) { low_rank_ = std::move(addend); }

  bool has_low_rank() const { return low_rank_ != nullptr; }

  const TensorRef& tensor() const { return *tensor_; }
  // nullptr where weights come from the provider.
  WeightStream* stream() const { return access_->stream.get(); }
  // Of the stream's order, ascending; they cover the rows in order.
  const std::vector<std::size_t>& slices() const { return slices_; }
  void set_slices(std::vector<std::size_t> slices) { slices_ = std::move(slices); }

  // The matrix, in memory for as long as this lives. Only without a stream.
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
  const WeightAccess* access_ = nullptr;
  std::vector<std::size_t> slices_;
  std::vector<float> bias_;
  std::shared_ptr<const LowRank> low_rank_;
};

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
  const WeightStore& store() const { return access_.store; }

  // Bytes of weights to be kept in memory, the rest being streamed; none: they come as the provider
  // has them. Throws Error("usage-busy") while a pass runs, and as WeightStream does; what was set
  // before then holds.
  void set_resident_limit(std::optional<std::size_t> limit, const StreamOptions& options = {});
  // What a limit would apply to, in bytes: the weights a pass goes through, and the ring. Whether
  // all of them are tiled: the product of gate and up is then never needed in floats.
  struct StreamSizes {
    std::size_t weights;
    std::size_t ring;
    bool tiled;
  };
  StreamSizes stream_sizes(const StreamOptions& options = {}) const;
  // nullptr without a limit.
  const WeightStream* stream() const { return access_.stream.get(); }

  // One forward pass. Without a limit any number go on at once; with one, the second waits.
  class Pass {
   public:
    // Throws Error("usage-busy") where the calling thread is in a streamed pass already.
    Pass(const Weights& weights, bool with_head);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    const Weights& weights_;
    bool streamed_;
  };

  // The linear layer whose weight has that name (a tied embedding is the head's; one that is not
  // tied is only looked up, never multiplied); throws Error("usage-tensor") where none has.
  LinearLayer& linear(std::string_view name);

 private:
  // Who goes through the weights.
  struct Turns {
    std::mutex mutex;
    std::condition_variable free;
    std::size_t passes = 0;
    std::thread::id streaming;  // the thread whose pass is streamed
  };

  // Every matrix but a looked-up embedding, in slices, as a pass asks for them.
  struct DecodeOrder {
    std::vector<WeightSlice> slices;
    std::map<const LinearLayer*, std::vector<std::size_t>> of;  // places in `slices`
    std::size_t head_begin;
    std::size_t most_held;  // slices of the same rows of gate and up
  };
  DecodeOrder decode_order(const StreamOptions& options) const;

  WeightAccess access_;
  mutable Turns turns_;
  std::size_t head_begin_ = 0;  // the first slice of the head
  bool tied_;
  LinearLayer embed_;
  LinearLayer head_;
  std::vector<float> final_norm_;
  std::vector<LayerWeights> layers_;
};

}  // namespace pocketr1
