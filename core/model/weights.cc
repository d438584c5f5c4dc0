#include "model/weights.h"

#include <list>
#include <map>

#include "base/error.h"
#include "base/half.h"

namespace pocketr1 {
namespace {

// Holds a segment's bytes for as long as it lives.
class Pin {
 public:
  Pin(WeightProvider& provider, std::uint32_t segment)
      : provider_(provider), segment_(segment), bytes_(provider.acquire(segment)) {}
  ~Pin() { provider_.release(segment_); }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  const std::uint8_t* bytes() const { return bytes_; }

 private:
  WeightProvider& provider_;
  std::uint32_t segment_;
  const std::uint8_t* bytes_;
};

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "(";
  for (std::uint64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + ")";
}

std::vector<float> read_vector(const TensorRef& tensor, WeightProvider& provider) {
  const MatrixPart whole{tensor.format, nullptr, 1, static_cast<std::size_t>(tensor.shape[0])};
  std::vector<float> out(whole.cols);
  const Pin pin(provider, tensor.parts[0].segment);
  read_row({whole.format, pin.bytes() + tensor.parts[0].offset, 1, whole.cols}, 0, out.data());
  return out;
}

}  // namespace

LinearLayer::Held::Held(const LinearLayer& layer) : layer_(layer) {
  const std::vector<PartRef>& parts = layer.tensor_->parts;
  matrix_.parts.reserve(parts.size());
  matrix_.bias = layer.bias_.empty() ? nullptr : layer.bias_.data();
  try {
    for (const PartRef& part : parts) {
      const std::uint8_t* bytes = layer.provider_->acquire(part.segment);
      ++acquired_;
      matrix_.parts.push_back(
          {layer.format(), bytes + part.offset, static_cast<std::size_t>(part.rows), layer.cols()});
    }
  } catch (...) {
    release();
    throw;
  }
}

LinearLayer::Held::~Held() { release(); }

void LinearLayer::Held::release() noexcept {
  while (acquired_ > 0) layer_.provider_->release(layer_.tensor_->parts[--acquired_].segment);
}

void LinearLayer::add_low_rank(const Context& context, LinearInput& input, float* y,
                               Workspace& workspace) const {
  if (!low_rank_) return;
  const LowRank& addend = *low_rank_;
  const std::size_t outputs = rows();
  const std::size_t batch = input.batch();
  workspace.low.reserve(batch * addend.rank);
  workspace.high.reserve(batch * outputs);
  auto floats = [](const std::vector<float>& v, std::size_t row_count, std::size_t col_count) {
    return Matrix{{{WeightFormat::f32, reinterpret_cast<const std::uint8_t*>(v.data()), row_count,
                    col_count}}};
  };
  const Matrix a = floats(addend.a, addend.rank, cols());
  const LinearOutput low{&a, workspace.low.data(), addend.rank};
  linear(context, {&low, 1}, input);
  LinearInput::Workspace unused;
  LinearInput reduced(workspace.low.data(), batch, addend.rank, unused);
  const Matrix b = floats(addend.b, outputs, addend.rank);
  const LinearOutput high{&b, workspace.high.data(), outputs};
  linear(context, {&high, 1}, reduced);
  for (std::size_t i = 0; i < batch * outputs; ++i) y[i] += workspace.high.data()[i];
}

void apply(const Context& context, std::span<const LayerOutput> outputs, LinearInput& input,
           LinearLayer::Workspace& workspace) {
  std::list<LinearLayer::Held> held;
  std::vector<LinearOutput> all;
  for (const LayerOutput& output : outputs) {
    held.emplace_back(*output.layer);
    all.push_back({&held.back().matrix(), output.y, output.layer->rows()});
  }
  linear(context, all, input);
  for (const LayerOutput& output : outputs) {
    output.layer->add_low_rank(context, input, output.y, workspace);
  }
}

void LinearLayer::read_row(std::size_t row, float* out) const {
  for (const PartRef& part : tensor_->parts) {
    if (row >= part.row + part.rows) continue;
    const Pin pin(*provider_, part.segment);
    pocketr1::read_row(
        {format(), pin.bytes() + part.offset, static_cast<std::size_t>(part.rows), cols()},
        row - static_cast<std::size_t>(part.row), out);
    return;
  }
}

Weights::Weights(const ModelSpec& spec, WeightStore store)
    : store_(std::move(store)), tied_(spec.tied_embeddings) {
  std::map<std::string_view, const TensorRef*> found;
  for (const TensorRef& tensor : store_.tensors) {
    if (!found.emplace(tensor.name, &tensor).second) {
      throw Error("bundle-invalid", tensor.name, "this tensor is listed twice");
    }
  }
  std::map<std::string, const TensorRef*, std::less<>> tensors;
  for (const ExpectedTensor& wanted : expected_tensors(spec)) {
    const auto it = found.find(wanted.name);
    if (it == found.end()) throw Error("bundle-invalid", wanted.name, "this tensor is missing");
    const TensorRef& tensor = *it->second;
    if (tensor.shape != wanted.shape) {
      throw Error("bundle-invalid", wanted.name,
                  "its shape is " + shape_text(tensor.shape) + ", the model needs " +
                      shape_text(wanted.shape));
    }
    if (wanted.shape.size() == 1 && traits(tensor.format).tiled()) {
      throw Error("bundle-invalid", wanted.name, "a vector cannot be in a tile format");
    }
    tensors.emplace(wanted.name, &tensor);
    found.erase(it);
  }
  if (!found.empty()) {
    throw Error("bundle-invalid", std::string(found.begin()->first),
                "the model knows no tensor of this name");
  }

  WeightProvider* provider = store_.provider.get();
  auto matrix = [&](const std::string& name) {
    LinearLayer layer(tensors.find(name + ".weight")->second, provider);
    const auto bias = tensors.find(name + ".bias");
    if (bias != tensors.end()) layer.set_bias(read_vector(*bias->second, *provider));
    return layer;
  };
  auto vector = [&](const std::string& name) {
    return read_vector(*tensors.find(name)->second, *provider);
  };
  embed_ = matrix("embed");
  if (!tied_) head_ = matrix("head");
  final_norm_ = vector("final_norm.weight");
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    LayerWeights layer;
    layer.attn_norm = vector(prefix + "attn_norm.weight");
    layer.mlp_norm = vector(prefix + "mlp_norm.weight");
    if (spec.qk_norm) {
      layer.q_norm = vector(prefix + "q_norm.weight");
      layer.k_norm = vector(prefix + "k_norm.weight");
    }
    layer.q = matrix(prefix + "q");
    layer.k = matrix(prefix + "k");
    layer.v = matrix(prefix + "v");
    layer.o = matrix(prefix + "o");
    layer.gate = matrix(prefix + "gate");
    layer.up = matrix(prefix + "up");
    layer.down = matrix(prefix + "down");
    layers_.push_back(std::move(layer));
  }
}

LinearLayer& Weights::linear(std::string_view name) {
  if (name == head().name()) return tied_ ? embed_ : head_;
  for (LayerWeights& layer : layers_) {
    for (LinearLayer* one :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (one->name() == name) return *one;
    }
  }
  throw Error("usage-tensor", std::string(name), "the model has no weight matrix of this name");
}

}  // namespace pocketr1
