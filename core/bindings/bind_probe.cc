#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

#include "base/error.h"
#include "bindings/bindings.h"
#include "ops/memory_probe.h"
#include "ops/peak_probe.h"

namespace nb = nanobind;

namespace pocketr1 {
namespace {

std::tuple<std::size_t, double> row(const ProbePass& pass) { return {pass.bytes, pass.seconds}; }

std::tuple<std::size_t, double> multiply(MemoryProbe& probe, const std::string& format) {
  const WeightFormatTraits* traits = find_weight_format(format);
  if (traits == nullptr) throw Error("quantize-unsupported", format, "no such weight format");
  return row(probe.multiply(traits->format));
}

}  // namespace

void bind_probe(nb::module_& module) {
  using namespace nb::literals;
  using Released = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<MemoryProbe>(module, "MemoryProbe",
                          "A buffer that all threads read, or multiply with, again and again.")
      .def(
          "__init__",
          [](MemoryProbe* self, std::size_t bytes, unsigned threads, const std::string& isa) {
            const nb::gil_scoped_release released;
            new (self) MemoryProbe(bytes, threads, isa.c_str());
          },
          "bytes"_a, nb::kw_only(), "threads"_a, "isa"_a = "")
      .def(
          "read", [](MemoryProbe& self) { return row(self.read()); }, Released(),
          "Read the buffer once: (bytes, seconds).")
      .def("multiply", multiply, "format"_a, Released(),
           "Multiply one row of activations by matrices of that format: (bytes, seconds).");
  nb::class_<PeakProbe>(module, "PeakProbe", "The most int8 products all threads give.")
      .def(
          "__init__",
          [](PeakProbe* self, unsigned threads, const std::string& isa) {
            const nb::gil_scoped_release released;
            new (self) PeakProbe(threads, isa.c_str());
          },
          nb::kw_only(), "threads"_a, "isa"_a = "")
      .def(
          "multiply",
          [](PeakProbe& self) {
            const PeakPass pass = self.multiply();
            return std::tuple<std::uint64_t, double>{pass.products, pass.seconds};
          },
          Released(), "Multiply from registers: (multiply-accumulates, seconds); none: (0, 0).");
}

}  // namespace pocketr1
