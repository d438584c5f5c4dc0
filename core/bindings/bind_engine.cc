#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/cpu_features.h"
#include "base/error.h"
#include "bindings/bindings.h"
#include "bundle/bundle.h"
#include "bundle/checkpoint_store.h"
#include "session/session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pocketr1 {
namespace {

template <typename T, typename... Shape>
using Input = nb::ndarray<const T, nb::c_contig, nb::device::cpu, Shape...>;
using Ids = Input<std::int32_t, nb::ndim<1>>;
using Matrix = Input<float, nb::ndim<2>>;
using Hook = std::function<void(std::string, nb::object)>;
// (name, format, shape, file, offset)
using CheckpointRow =
    std::tuple<std::string, std::string, std::vector<std::uint64_t>, std::uint32_t, std::uint64_t>;

// A model and the text it was described by.
struct PyModel {
  std::shared_ptr<Model> model;
  std::string spec_json;
};

PyModel open_bundle(const std::string& path, bool mmap) {
  const nb::gil_scoped_release release;
  const Bundle bundle = Bundle::open(path, mmap);
  return {open_model(bundle), std::string(bundle.model_spec_text())};
}

PyModel open_checkpoint_model(const std::string& spec_json, const std::vector<std::string>& files,
                              const std::vector<CheckpointRow>& rows, bool mmap) {
  const nb::gil_scoped_release release;
  std::vector<CheckpointTensor> tensors;
  for (const auto& [name, format, shape, file, offset] : rows) {
    const WeightFormatTraits* known = find_weight_format(format);
    if (known == nullptr) throw Error("safetensors-invalid", name, "unknown format " + format);
    tensors.push_back({name, known->format, shape, file, offset});
  }
  return {std::make_shared<Model>(parse_model_spec(Json::parse(spec_json)),
                                  open_checkpoint(files, tensors, mmap)),
          spec_json};
}

std::tuple<std::size_t, std::size_t, bool> stream_sizes(const PyModel& self) {
  const Weights::StreamSizes sizes = self.model->weights().stream_sizes();
  return {sizes.weights, sizes.ring, sizes.tiled};
}

// (resident, streamed, ring, read, speed, direct)
using StreamRow = std::tuple<std::size_t, std::size_t, std::size_t, std::uint64_t, double, bool>;

std::optional<StreamRow> stream_state(const PyModel& self) {
  const WeightStream* stream = self.model->weights().stream();
  if (stream == nullptr) return std::nullopt;
  return StreamRow{stream->resident_bytes(), stream->streamed_bytes(), stream->ring_bytes(),
                   stream->bytes_read(),     stream->read_speed(),     stream->direct()};
}

void set_adapter(const PyModel& self, const std::string& tensor, const Matrix& a, const Matrix& b) {
  auto addend = std::make_shared<LowRank>();
  addend->rank = a.shape(0);
  addend->a.assign(a.data(), a.data() + a.size());
  addend->b.assign(b.data(), b.data() + b.size());
  if (b.shape(1) != a.shape(0)) {
    throw Error("usage-adapter", tensor, "A is (rank, inputs) and B (outputs, rank)");
  }
  self.model->set_low_rank(tensor, std::move(addend));
}

nb::ndarray<nb::numpy, float, nb::ndim<2>> new_matrix(std::size_t rows, std::size_t cols) {
  auto memory = std::make_unique_for_overwrite<float[]>(rows * cols);
  const nb::capsule owner(memory.get(), [](void* p) noexcept { delete[] static_cast<float*>(p); });
  return {memory.release(), {rows, cols}, owner};
}

void check_length(const char* name, std::size_t length, std::size_t wanted) {
  if (length != wanted) {
    throw Error("usage-rows", name,
                "has " + std::to_string(length) + " entries instead of " + std::to_string(wanted));
  }
}

std::vector<Row> make_rows(const Session& session, const Ids& sequence, const Ids& position,
                           const Ids& token, const std::optional<Matrix>& embeddings) {
  const std::size_t n = sequence.size();
  check_length("position", position.size(), n);
  check_length("token", token.size(), n);
  const std::size_t hidden = session.model().spec().hidden_size;
  if (embeddings) {
    check_length("embeddings", embeddings->shape(0), n);
    check_length("embeddings row", embeddings->shape(1), hidden);
  }
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (position.data()[i] < 0) {
      throw Error("usage-rows", "row " + std::to_string(i), "its position is negative");
    }
    rows[i] = {sequence.data()[i], static_cast<std::size_t>(position.data()[i]), token.data()[i],
               embeddings ? embeddings->data() + i * hidden : nullptr};
  }
  return rows;
}

// A hook's array is a copy: it may be kept.
StepOptions step_options(const Hook& hook) {
  StepOptions options;
  if (!hook) return options;
  options.hook = [&hook](std::string_view name, const float* data, std::size_t rows,
                         std::size_t dim) {
    const nb::gil_scoped_acquire acquire;
    auto copy = new_matrix(rows, dim);
    std::copy_n(data, rows * dim, copy.data());
    hook(std::string(name), nb::cast(copy));
  };
  return options;
}

nb::ndarray<nb::numpy, float, nb::ndim<2>> step(Session& session, const Ids& sequence,
                                                const Ids& position, const Ids& token,
                                                const Ids& logits_for,
                                                const std::optional<Matrix>& embeddings,
                                                const std::optional<Hook>& hook) {
  const std::vector<Row> rows = make_rows(session, sequence, position, token, embeddings);
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < logits_for.size(); ++i) {
    if (logits_for.data()[i] < 0) throw Error("usage-rows", "logits_for", "holds a negative index");
    wanted.push_back(static_cast<std::size_t>(logits_for.data()[i]));
  }
  if (wanted.size() > rows.size()) {
    throw Error("usage-rows", "logits_for", "holds more indices than there are rows");
  }
  auto logits = new_matrix(wanted.size(), session.model().spec().vocab_size);
  const Hook no_hook;
  const StepOptions options = step_options(hook ? *hook : no_hook);
  const nb::gil_scoped_release release;
  session.step(rows, wanted, logits.data(), options);
  return logits;
}

nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> read_pages(const Session& session,
                                                             std::int32_t sequence,
                                                             std::size_t first, std::size_t count) {
  const std::size_t size = count * session.page_bytes();
  auto memory = std::make_unique_for_overwrite<std::uint8_t[]>(size);
  session.read_pages(sequence, first, {memory.get(), size});
  const nb::capsule owner(memory.get(),
                          [](void* p) noexcept { delete[] static_cast<std::uint8_t*>(p); });
  return {memory.release(), {size}, owner};
}

std::int32_t sample(Session& session, const Input<float, nb::ndim<1>>& logits, const Ids& history,
                    float temperature, std::int32_t top_k, float top_p, float min_p,
                    float repetition_penalty, std::uint64_t seed, std::uint64_t index,
                    std::uint64_t position) {
  const nb::gil_scoped_release release;
  return session.sample({logits.data(), logits.size()}, {history.data(), history.size()},
                        {repetition_penalty, temperature, top_k, top_p, min_p, seed, index},
                        position);
}

void trim_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (Isa isa : runnable_isas()) names.emplace_back(isa_name(isa));
  return names;
}

std::vector<std::string> kernels_run(Session& session) {
  return {session.trace().names().begin(), session.trace().names().end()};
}

std::unique_ptr<Session> new_session(const PyModel& model, unsigned threads,
                                     std::size_t max_context, const std::string& kv_format,
                                     const std::string& isa) {
  return std::make_unique<Session>(
      model.model, SessionOptions{threads, max_context, parse_kv_format(kv_format.c_str()), isa});
}

}  // namespace

void bind_engine(nb::module_& module) {
  module.def("isas", &isas, "Instruction sets this CPU can run, best last.");

  module.def("trim_memory", &trim_memory,
             "Gives memory that was freed back to the system, where the C library keeps it.");

  nb::class_<PyModel>(module, "Model", "Weights and spec, shared by sessions.")
      .def_static("open_bundle", &open_bundle, "path"_a, "mmap"_a = true)
      .def_static("open_checkpoint", &open_checkpoint_model, "spec_json"_a, "files"_a, "tensors"_a,
                  "mmap"_a = true)
      .def_ro("spec_json", &PyModel::spec_json)
      .def_prop_ro("weight_bytes", [](const PyModel& self) { return self.model->weight_bytes(); })
      .def(
          "set_resident_limit",
          [](const PyModel& self, std::optional<std::size_t> bytes) {
            const nb::gil_scoped_release release;
            self.model->set_resident_limit(bytes);
          },
          "bytes"_a.none(),
          "Keep at most so many bytes of weights in memory and stream the others in every pass;\n"
          "None: map them, or read them once, as at first. Raises UsageError (usage-busy), and\n"
          "what reading raises.")
      .def_prop_ro(
          "stream_sizes", &stream_sizes,
          "What a limit would apply to: (bytes of the weights a pass goes through, bytes of the\n"
          "ring, whether all of these weights are tiled).")
      .def_prop_ro("stream", &stream_state,
                   "(resident, streamed, ring, bytes read, bytes a second when it was opened,\n"
                   "direct) of a model with a limit, in bytes; None without one.")
      .def("set_adapter", &set_adapter, "tensor"_a, "a"_a, "b"_a,
           "y += B (A x) for the weight of that name; A (rank, inputs), B (outputs, rank).")
      .def(
          "clear_adapter",
          [](const PyModel& self, const std::string& tensor) {
            self.model->set_low_rank(tensor, nullptr);
          },
          "tensor"_a);

  nb::class_<Session>(module, "Session", "Sequences over a model.")
      .def(nb::new_(&new_session), "model"_a, nb::kw_only(), "threads"_a, "max_context"_a,
           "kv_format"_a = "f16", "isa"_a = "")
      .def_prop_ro("isa", &Session::isa)
      .def_prop_ro("threads", &Session::threads)
      .def_prop_ro("active_threads", &Session::active_threads)
      .def("set_threads", &Session::set_threads, "threads"_a,
           "How many of the threads compute from now on; the others sleep.")
      .def_prop_ro("kv_bytes", &Session::kv_bytes)
      .def_prop_ro("max_context", &Session::max_context)
      .def("create_sequence", &Session::create_sequence)
      .def("fork_sequence", &Session::fork_sequence, "sequence"_a, "length"_a,
           "A new sequence that shares the pages of the first `length` tokens of another.")
      .def("trim_pages", &Session::trim_pages,
           "Gives pages that no sequence uses back to the system; returns their bytes.")
      .def("free_sequence", &Session::free_sequence, "sequence"_a)
      .def("length", &Session::length, "sequence"_a)
      .def("truncate", &Session::truncate, "sequence"_a, "length"_a)
      .def_prop_ro("page_bytes", &Session::page_bytes)
      .def("read_pages", &read_pages, "sequence"_a, "first"_a, "count"_a,
           "Copies of whole pages of 64 tokens, as uint8 (count * page_bytes).")
      .def(
          "append_pages",
          [](Session& self, std::int32_t sequence, const Input<std::uint8_t, nb::ndim<1>>& bytes) {
            self.append_pages(sequence, {bytes.data(), bytes.size()});
          },
          "sequence"_a, "bytes"_a, "Appends whole pages that read_pages gave.")
      .def("step", &step, "sequence"_a, "position"_a, "token"_a, "logits_for"_a, nb::kw_only(),
           "embeddings"_a = nb::none(), "hook"_a = nb::none(),
           "Run rows; return the float32 logits (len(logits_for), vocab_size).")
      .def("cancel", &Session::cancel, "From any thread: the running step raises CancelledError.")
      .def("sample", &sample, "logits"_a, "history"_a, nb::kw_only(), "temperature"_a, "top_k"_a,
           "top_p"_a, "min_p"_a, "repetition_penalty"_a, "seed"_a, "index"_a, "position"_a)
      .def(
          "trace_kernels", [](Session& self, bool on) { self.trace().set(on); }, "on"_a)
      .def("kernels_run", &kernels_run,
           "Names of the linear kernels run since trace_kernels(True).");
}

}  // namespace pocketr1
