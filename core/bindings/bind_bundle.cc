#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/bindings.h"
#include "bundle/file.h"
#include "bundle/safetensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace pocketr1 {
namespace {

using HeaderRow =
    std::tuple<std::string, std::string, std::vector<std::uint64_t>, std::uint64_t, std::uint64_t>;

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

}  // namespace

void bind_bundle(nb::module_& module) {
  module.def("safetensors_header", &safetensors_header, "path"_a,
             "The tensors of a safetensors file in the order of their data: (name, dtype, shape,\n"
             "begin, end), offsets in bytes from the start of the file. Raises CheckpointError\n"
             "(safetensors-invalid, safetensors-unreadable).");
}

}  // namespace pocketr1
