#include "model/apply.h"

#include <algorithm>
#include <list>
#include <vector>

namespace pocketr1 {
namespace {

// Slices of a stream that are in memory together.
class HeldSlices {
 public:
  explicit HeldSlices(WeightStream& stream) : stream_(stream) {}
  ~HeldSlices() { release(); }
  HeldSlices(const HeldSlices&) = delete;
  HeldSlices& operator=(const HeldSlices&) = delete;

  // nullptr where it has not been read yet, or enough is held.
  const std::uint8_t* try_add(std::size_t slice) {
    held_.reserve(held_.size() + 1);
    const std::uint8_t* bytes = stream_.try_acquire(slice);
    if (bytes != nullptr) held_.push_back(slice);
    return bytes;
  }
  const std::uint8_t* add(std::size_t slice) {
    held_.reserve(held_.size() + 1);
    const std::uint8_t* bytes = stream_.acquire(slice);
    held_.push_back(slice);
    return bytes;
  }
  void release() noexcept {
    for (const std::size_t slice : held_) stream_.release(slice);
    held_.clear();
  }

 private:
  WeightStream& stream_;
  std::vector<std::size_t> held_;
};

void push_rows(Matrix& matrix, const LinearLayer& layer, const WeightSlice& slice,
               const std::uint8_t* bytes) {
  if (matrix.parts.empty() && !layer.bias().empty()) {
    matrix.bias = layer.bias().data() + slice.rows.row;
  }
  matrix.parts.push_back(
      {layer.format(), bytes, static_cast<std::size_t>(slice.rows.rows), layer.cols()});
}

// What has been read is computed while the next is read: as much at once as is there.
void apply_streamed(const Context& context, std::span<const LayerOutput> outputs,
                    LinearInput& input) {
  struct Wanted {
    std::size_t slice;
    std::size_t output;
  };
  std::vector<Wanted> wanted;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const std::size_t slice : outputs[i].layer->slices()) wanted.push_back({slice, i});
  }
  std::sort(wanted.begin(), wanted.end(),
            [](const Wanted& a, const Wanted& b) { return a.slice < b.slice; });

  // Rows of one output each, without gaps.
  std::list<Matrix> matrices;
  std::vector<LinearOutput> ready;
  std::vector<Matrix*> open(outputs.size(), nullptr);
  WeightStream& stream = *outputs[0].layer->stream();
  HeldSlices held(stream);
  const auto flush = [&] {
    linear(context, ready, input);
    ready.clear();
    matrices.clear();
    std::fill(open.begin(), open.end(), nullptr);
    held.release();
  };
  for (const auto& [slice, index] : wanted) {
    const std::uint8_t* bytes = held.try_add(slice);
    if (bytes == nullptr) {
      if (!ready.empty()) flush();
      bytes = held.add(slice);
    }
    const LayerOutput& output = outputs[index];
    const WeightSlice& rows = stream.order()[slice];
    if (open[index] == nullptr) {
      open[index] = &matrices.emplace_back();
      ready.push_back({open[index], output.y + rows.rows.row, output.layer->rows()});
    }
    push_rows(*open[index], *output.layer, rows, bytes);
  }
  flush();
}

}  // namespace

void apply(const Context& context, std::span<const LayerOutput> outputs, LinearInput& input,
           LinearLayer::Workspace& workspace) {
  if (outputs[0].layer->stream() != nullptr) {
    apply_streamed(context, outputs, input);
  } else {
    std::list<LinearLayer::Held> held;
    std::vector<LinearOutput> all;
    for (const LayerOutput& output : outputs) {
      held.emplace_back(*output.layer);
      all.push_back({&held.back().matrix(), output.y, output.layer->rows()});
    }
    linear(context, all, input);
  }
  for (const LayerOutput& output : outputs) {
    output.layer->add_low_rank(context, input, output.y, workspace);
  }
}

void apply_gated(const Context& context, const LinearLayer& gate, const LinearLayer& up,
                 LinearInput& input, const GatedOutput& output, AlignedBuffer<float>& workspace) {
  if (gate.stream() == nullptr) {
    const LinearLayer::Held gate_held(gate);
    const LinearLayer::Held up_held(up);
    gated_linear(context, gate_held.matrix(), up_held.matrix(), input, output, workspace);
    return;
  }
  WeightStream& stream = *gate.stream();
  HeldSlices held(stream);
  Matrix matrices[2];
  std::size_t begin = 0;  // the first row of both matrices
  const auto flush = [&] {
    GatedOutput rows = output;
    rows.first = begin;
    rows.rows = gate.rows();
    gated_linear(context, matrices[0], matrices[1], input, rows, workspace);
    begin += matrices[0].rows();
    matrices[0] = matrices[1] = Matrix();
    held.release();
  };
  // Slices of both for the same rows follow each other in the order, those of the gate first.
  std::size_t g = 0;
  std::size_t u = 0;
  while (g < gate.slices().size()) {
    const std::size_t first = gate.slices()[g];
    const std::uint8_t* bytes = held.try_add(first);
    if (bytes == nullptr) {
      if (!matrices[0].parts.empty()) flush();
      bytes = held.add(first);
    }
    push_rows(matrices[0], gate, stream.order()[first], bytes);
    for (++g; g < gate.slices().size() && gate.slices()[g] < up.slices()[u]; ++g) {
      const std::size_t slice = gate.slices()[g];
      push_rows(matrices[0], gate, stream.order()[slice], held.add(slice));
    }
    const std::size_t next = g < gate.slices().size() ? gate.slices()[g] : stream.order().size();
    for (; u < up.slices().size() && up.slices()[u] < next; ++u) {
      const std::size_t slice = up.slices()[u];
      push_rows(matrices[1], up, stream.order()[slice], held.add(slice));
    }
  }
  flush();
}

}  // namespace pocketr1
