#include "model/weights.h"

#include <algorithm>
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

std::vector<float> read_vector(const TensorRef& tensor, const WeightProvider& provider) {
  const std::size_t n = static_cast<std::size_t>(tensor.shape[0]);
  const PartRef& part = tensor.parts[0];
  std::vector<std::uint8_t> bytes(packed_size(tensor.format, 1, n).total());
  provider.read(part.segment, part.offset, bytes.data(), bytes.size());
  std::vector<float> out(n);
  read_row({tensor.format, bytes.data(), 1, n}, 0, out.data());
  return out;
}

}  // namespace

LinearLayer::Held::Held(const LinearLayer& layer) : layer_(layer) {
  const std::vector<PartRef>& parts = layer.tensor_->parts;
  matrix_.parts.reserve(parts.size());
  matrix_.bias = layer.bias_.empty() ? nullptr : layer.bias_.data();
  try {
    for (const PartRef& part : parts) {
      const std::uint8_t* bytes = layer.access_->store.provider->acquire(part.segment);
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
  while (acquired_ > 0) {
    layer_.access_->store.provider->release(layer_.tensor_->parts[--acquired_].segment);
  }
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

void LinearLayer::read_row(std::size_t row, float* out) const {
  for (const PartRef& part : tensor_->parts) {
    if (row >= part.row + part.rows) continue;
    if (stream() != nullptr) {
      // Only the bytes of this row, or of the 16 it is packed with.
      const std::size_t band = traits(format()).tiled() ? kTileRows : 1;
      const std::uint64_t first = part.row + (row - part.row) / band * band;
      const std::uint64_t end = std::min<std::uint64_t>(first + band, part.row + part.rows);
      const WeightSlice slice = slice_part(*tensor_, part, first, end - first);
      AlignedBuffer<std::uint8_t> bytes(slice.size.total());
      read_slice(*access_->store.provider, slice, bytes.data());
      pocketr1::read_row(
          {format(), bytes.data(), static_cast<std::size_t>(slice.rows.rows), cols()}, row - first,
          out);
      return;
    }
    const Pin pin(*access_->store.provider, part.segment);
    pocketr1::read_row(
        {format(), pin.bytes() + part.offset, static_cast<std::size_t>(part.rows), cols()},
        row - static_cast<std::size_t>(part.row), out);
    return;
  }
}

Weights::Weights(const ModelSpec& spec, WeightStore store)
    : access_{std::move(store), nullptr}, tied_(spec.tied_embeddings) {
  std::map<std::string_view, const TensorRef*> found;
  for (const TensorRef& tensor : access_.store.tensors) {
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

  const WeightProvider& provider = *access_.store.provider;
  auto matrix = [&](const std::string& name) {
    LinearLayer layer(tensors.find(name + ".weight")->second, &access_);
    const auto bias = tensors.find(name + ".bias");
    if (bias != tensors.end()) layer.set_bias(read_vector(*bias->second, provider));
    return layer;
  };
  auto vector = [&](const std::string& name) {
    return read_vector(*tensors.find(name)->second, provider);
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

namespace {

// Rows of about as many bytes as asked for, in steps of `unit`.
std::uint64_t slice_rows(double bytes_of_row, std::size_t bytes, std::uint64_t unit) {
  const auto rows = static_cast<std::uint64_t>(static_cast<double>(bytes) / bytes_of_row);
  return std::max(unit, rows / unit * unit);
}

}  // namespace

Weights::DecodeOrder Weights::decode_order(const StreamOptions& options) const {
  DecodeOrder order{{}, {}, 0, 1};
  const auto append = [&](const LinearLayer& layer, const WeightSlice& slice) {
    order.of[&layer].push_back(order.slices.size());
    order.slices.push_back(slice);
  };
  const auto add = [&](const LinearLayer& layer) {
    const TensorRef& tensor = layer.tensor();
    const std::uint64_t rows = slice_rows(row_bytes(tensor), options.slice_bytes, kTileRows);
    for (const WeightSlice& slice : cut_matrix(tensor, rows)) append(layer, slice);
  };
  // Both are needed for the same outputs, in whole groups of activations.
  const auto add_gated = [&](const LinearLayer& gate, const LinearLayer& up) {
    const double larger = std::max(row_bytes(gate.tensor()), row_bytes(up.tensor()));
    const std::uint64_t step = slice_rows(larger, options.slice_bytes, kActivationGroup);
    const LinearLayer* layers[] = {&gate, &up};
    const std::vector<WeightSlice> cuts[] = {cut_matrix(gate.tensor(), step),
                                             cut_matrix(up.tensor(), step)};
    std::size_t at[] = {0, 0};
    for (std::uint64_t end = step; at[0] < cuts[0].size(); end += step) {
      const std::size_t before = order.slices.size();
      for (int k = 0; k < 2; ++k) {
        for (; at[k] < cuts[k].size() && cuts[k][at[k]].rows.row < end; ++at[k]) {
          append(*layers[k], cuts[k][at[k]]);
        }
      }
      order.most_held = std::max(order.most_held, order.slices.size() - before);
    }
  };
  for (const LayerWeights& layer : layers_) {
    for (const LinearLayer* one : {&layer.q, &layer.k, &layer.v, &layer.o}) add(*one);
    add_gated(layer.gate, layer.up);
    add(layer.down);
  }
  order.head_begin = order.slices.size();
  add(head());
  return order;
}

Weights::StreamSizes Weights::stream_sizes(const StreamOptions& options) const {
  const DecodeOrder order = decode_order(options);
  StreamSizes sizes{0, WeightStream::ring_bytes(order.slices, order.most_held, options), true};
  for (const WeightSlice& slice : order.slices) {
    sizes.weights += slice.size.total();
    sizes.tiled = sizes.tiled && traits(slice.tensor->format).tiled();
  }
  return sizes;
}

void Weights::set_resident_limit(std::optional<std::size_t> limit, const StreamOptions& options) {
  const std::lock_guard lock(turns_.mutex);
  if (turns_.passes > 0) throw Error("usage-busy", "resident_limit", "a step is running");
  if (!limit) {
    access_.stream.reset();
  } else if (access_.stream) {
    access_.stream->set_limit(*limit);
  } else {
    DecodeOrder order = decode_order(options);
    auto stream = std::make_unique<WeightStream>(access_.store, std::move(order.slices),
                                                 order.most_held, *limit, options);
    head_begin_ = order.head_begin;
    for (LayerWeights& layer : layers_) {
      for (LinearLayer* one :
           {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
        one->set_slices(std::move(order.of[one]));
      }
    }
    LinearLayer& last = tied_ ? embed_ : head_;
    last.set_slices(std::move(order.of[&last]));
    access_.stream = std::move(stream);
    access_.store.provider->forget();
  }
}

Weights::Pass::Pass(const Weights& weights, bool with_head) : weights_(weights) {
  Turns& turns = weights.turns_;
  std::unique_lock lock(turns.mutex);
  if (turns.streaming == std::this_thread::get_id()) {
    throw Error("usage-busy", "step", "this thread is in a step of the same streamed model");
  }
  turns.free.wait(lock, [&] { return turns.streaming == std::thread::id(); });
  WeightStream* stream = weights.access_.stream.get();
  streamed_ = stream != nullptr;
  ++turns.passes;
  if (!streamed_) return;
  turns.streaming = std::this_thread::get_id();
  stream->begin_pass(with_head ? stream->order().size() : weights.head_begin_);
}

Weights::Pass::~Pass() {
  {
    const std::lock_guard lock(weights_.turns_.mutex);
    --weights_.turns_.passes;
    if (streamed_) weights_.turns_.streaming = {};
  }
  weights_.turns_.free.notify_one();
}

}  // namespace pocketr1
