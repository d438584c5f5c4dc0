#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/bindings.h"
#include "bundle/bundle.h"
#include "bundle/file.h"
#include "bundle/safetensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pocketr1 {
namespace {

using U64 = std::uint64_t;
// (name, dtype, shape, begin, end)
using HeaderRow = std::tuple<std::string, std::string, std::vector<U64>, U64, U64>;
// (name, fd, offset, length)
using FileRow = std::tuple<std::string, int, U64, U64>;
// (row, rows, shard, offset, size)
using PartRow = std::tuple<U64, U64, U64, U64, U64>;
// (name, format, shape, parts)
using TensorRow = std::tuple<std::string, std::string, std::vector<U64>, std::vector<PartRow>>;
using Bytes = nb::ndarray<nb::numpy, const std::uint8_t, nb::ndim<1>>;

std::vector<HeaderRow> safetensors_header(const std::string& path) {
  std::vector<HeaderRow> rows;
  const nb::gil_scoped_release release;
  for (SafetensorsEntry& entry :
       read_safetensors_header(*File::open(path, "safetensors-unreadable"))) {
    rows.emplace_back(std::move(entry.name), std::move(entry.dtype), std::move(entry.shape),
                      entry.begin, entry.end);
  }
  return rows;
}

Bundle open_directory(const std::string& path, bool mmap) {
  const nb::gil_scoped_release release;
  return Bundle::open(path, mmap);
}

Bundle open_files(const std::vector<FileRow>& rows, bool mmap) {
  const nb::gil_scoped_release release;
  std::vector<NamedFile> files;
  for (const auto& [name, fd, offset, length] : rows) files.push_back({name, fd, offset, length});
  return Bundle::open(files, mmap);
}

std::vector<TensorRow> tensors(const Bundle& bundle) {
  std::vector<TensorRow> rows;
  for (const TensorRef& tensor : bundle.weights().tensors) {
    std::vector<PartRow> parts;
    for (const PartRef& part : tensor.parts) {
      const SegmentRef& segment = bundle.weights().segments[part.segment];
      parts.emplace_back(part.row, part.rows, segment.file, segment.offset + part.offset,
                         part_size(tensor, part).total());
    }
    rows.emplace_back(tensor.name, std::string(traits(tensor.format).name), tensor.shape,
                      std::move(parts));
  }
  return rows;
}

std::vector<std::tuple<std::string, U64>> shards(const Bundle& bundle) {
  std::vector<std::tuple<std::string, U64>> rows;
  for (const ShardLayout& shard : bundle.layout().shards) rows.emplace_back(shard.file, shard.size);
  return rows;
}

std::vector<std::tuple<U64, U64, U64>> segments(const Bundle& bundle) {
  std::vector<std::tuple<U64, U64, U64>> rows;
  for (const SegmentRef& segment : bundle.weights().segments) {
    rows.emplace_back(segment.file, segment.offset, segment.size);
  }
  return rows;
}

// A segment held for as long as an array looks into it.
struct SegmentHold {
  std::shared_ptr<WeightProvider> provider;
  std::uint32_t segment;
  const std::uint8_t* bytes;
  SegmentHold(std::shared_ptr<WeightProvider> from, std::uint32_t which)
      : provider(std::move(from)), segment(which), bytes(provider->acquire(which)) {}
  SegmentHold(const SegmentHold&) = delete;
  ~SegmentHold() { provider->release(segment); }
};

Bytes part_bytes(const Bundle& bundle, const std::string& name, std::size_t part_index) {
  const std::vector<TensorRef>& all = bundle.weights().tensors;
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const TensorRef& tensor) { return tensor.name == name; });
  if (found == all.end()) throw nb::key_error(name.c_str());
  const TensorRef& tensor = *found;
  if (part_index >= tensor.parts.size()) throw nb::index_error("the tensor has no such part");
  const PartRef& part = tensor.parts[part_index];
  std::unique_ptr<SegmentHold> hold;
  {
    const nb::gil_scoped_release release;
    hold = std::make_unique<SegmentHold>(bundle.weights().provider, part.segment);
  }
  const std::uint8_t* bytes = hold->bytes + part.offset;
  const nb::capsule owner(hold.get(),
                          [](void* p) noexcept { delete static_cast<SegmentHold*>(p); });
  hold.release();
  return Bytes(bytes, {part_size(tensor, part).total()}, owner);
}

void verify(const Bundle& bundle, std::optional<nb::callable> progress) {
  const Bundle::Progress report = [&](U64 done, U64 total) {
    const nb::gil_scoped_acquire acquire;
    if (progress) (*progress)(done, total);
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  };
  const nb::gil_scoped_release release;
  bundle.verify(report);
}

}  // namespace

void bind_bundle(nb::module_& module) {
  module.def("safetensors_header", &safetensors_header, "path"_a,
             "The tensors of a safetensors file in the order of their data: (name, dtype, shape,\n"
             "begin, end), offsets in bytes from the start of the file. Raises CheckpointError\n"
             "(safetensors-invalid, safetensors-unreadable).");

  nb::class_<Bundle>(module, "Bundle", "A compressed model on disk. Errors are BundleError.")
      .def_static("open", &open_directory, "path"_a, "mmap"_a = true,
                  "Opens a bundle's directory and checks everything but values and hashes. With\n"
                  "mmap=False a segment is read, and its values checked, when it is first needed.")
      .def_static("open_files", &open_files, "files"_a, "mmap"_a = true,
                  "The same for open files: (name, fd, offset, length) each, 'bundle.json' and\n"
                  "every shard among them. The descriptors are duplicated.")
      .def_prop_ro("metadata_json",
                   [](const Bundle& bundle) { return std::string(bundle.metadata_text()); })
      .def_prop_ro("model_json",
                   [](const Bundle& bundle) { return std::string(bundle.model_spec_text()); })
      .def_prop_ro("weight_bytes", &Bundle::weight_bytes)
      .def("tensors", &tensors,
           "(name, format, shape, parts) each; a part is (row, rows, shard, offset, size), the\n"
           "offset in bytes from the start of the shard's file.")
      .def("shards", &shards, "(file, size) each.")
      .def("segments", &segments, "(shard, offset, size) each, in decode order.")
      .def(
          "part_bytes", &part_bytes, "tensor"_a, "part"_a,
          "The bytes of a part, uint8 (size,), read-only: codes, scales and zero points, or\n"
          "row-major elements, of the tensor's part with that index. The array keeps the mapping\n"
          "alive. Raises KeyError, IndexError, and, where the segment is read rather than mapped,\n"
          "BundleError (bundle-scales, bundle-codes).")
      .def(
          "verify", &verify, "progress"_a = nb::none(),
          "Reads every byte: hashes of chunks and tokenizer files, scales, zero points and codes.\n"
          "`progress` is called with bytes done and bytes in all; what it raises stops the check.\n"
          "Raises BundleError (bundle-hash, bundle-scales, bundle-codes).");
}

}  // namespace pocketr1
