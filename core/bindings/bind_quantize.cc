#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <tuple>

#include "base/error.h"
#include "bindings/bindings.h"
#include "quantize/feedback.h"
#include "quantize/pack.h"
#include "quantize/quantize.h"

namespace nb = nanobind;

namespace pocketr1 {
namespace {

using RawArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using U8Matrix = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using F32Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using U32Vector = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using F32Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// A new NumPy array of that shape, not initialized.
template <typename Element>
struct OwnedArray {
  explicit OwnedArray(std::size_t size_) : size(size_), data(new Element[size_]) {}
  std::span<Element> span() { return {data.get(), size}; }
  nb::ndarray<nb::numpy, Element> release(std::initializer_list<std::size_t> shape) {
    Element* raw = data.release();
    const nb::capsule owner(
        raw, [](void* pointer) noexcept { delete[] static_cast<Element*>(pointer); });
    return nb::ndarray<nb::numpy, Element>(raw, shape, owner);
  }
  std::size_t size;
  std::unique_ptr<Element[]> data;
};

WeightFormat format_named(const std::string& name) {
  const WeightFormatTraits* row = find_weight_format(name);
  if (row == nullptr) throw Error("quantize-unsupported", name, "no such weight format");
  return row->format;
}

SourceRows source_rows(const RawArray& rows, const std::string& dtype, const std::string& name,
                       std::uint64_t first_row) {
  SourceRows source{rows.data(), SourceType::f32, 0, 0, name, first_row};
  std::size_t bytes = 4;
  if (dtype == "f16" || dtype == "bf16") {
    source.type = dtype == "f16" ? SourceType::f16 : SourceType::bf16;
    bytes = 2;
  } else if (dtype != "f32") {
    throw Error("quantize-unsupported", name, "no such element type: " + dtype);
  }
  if (rows.itemsize() != bytes || rows.ndim() < 1 || rows.ndim() > 2) {
    throw Error("quantize-unsupported", name, "the rows are no array of " + dtype + " elements");
  }
  // A vector of n is one row.
  source.rows = rows.ndim() == 2 ? rows.shape(0) : 1;
  source.cols = rows.shape(rows.ndim() - 1);
  return source;
}

std::tuple<nb::ndarray<nb::numpy, std::uint8_t>, double, double, double> quantize_array(
    const RawArray& rows, const std::string& dtype, const std::string& format, unsigned threads,
    const std::string& name, std::uint64_t first_row, const std::optional<F32Vector>& importance) {
  const SourceRows source = source_rows(rows, dtype, name, first_row);
  const WeightFormat weight_format = format_named(format);
  QuantizeOptions options{choose_isa(), threads};
  if (importance) options.importance = {importance->data(), importance->size()};
  OwnedArray<std::uint8_t> part(packed_size(weight_format, source.rows, source.cols).total());
  QuantizeError error;
  {
    const nb::gil_scoped_release released;
    error = quantize_rows(source, weight_format, options, part.span());
  }
  return {part.release({part.size}), error.sum_sq_error, error.sum_sq, error.max_abs};
}

std::tuple<nb::object, nb::object, nb::object> unpack_array(const Bytes& part,
                                                            const std::string& format,
                                                            std::size_t rows, std::size_t cols) {
  const WeightFormat weight_format = format_named(format);
  // Before anything of that size is allocated.
  if (part.size() != packed_size(weight_format, rows, cols).total()) {
    throw Error("quantize-unsupported", format, "the part is not of that many rows and columns");
  }
  const std::size_t groups = group_count(weight_format, cols);
  OwnedArray<std::uint8_t> codes(rows * cols);
  OwnedArray<float> scales(rows * groups);
  OwnedArray<std::uint8_t> zeros(rows * groups);
  {
    const nb::gil_scoped_release released;
    unpack_rows({part.data(), part.size()}, weight_format, rows, cols,
                {codes.span(), scales.span(), zeros.span()});
  }
  nb::object code_array = nb::cast(codes.release({rows, cols}));
  if (traits(weight_format).tiled() && traits(weight_format).bits == 8) {
    code_array = code_array.attr("view")("int8");
  }
  return {code_array, nb::cast(scales.release({rows, groups})),
          nb::cast(zeros.release({rows, groups}))};
}

nb::object round_arrays(const F32Matrix& weights, const U32Vector& order, const F32Matrix& factor,
                        const F32Matrix& scales, const F32Matrix& centres, std::size_t group_size,
                        int low, int high, unsigned threads, const std::string& name) {
  if (low < -128 || high > 255 || high - low > 255 || low > high) {
    throw Error("quantize-unsupported", name, "codes must fit in a byte");
  }
  OwnedArray<std::uint8_t> codes(weights.size());
  {
    const nb::gil_scoped_release released;
    round_with_feedback({{weights.data(), weights.size()},
                         weights.shape(0),
                         weights.shape(1),
                         {order.data(), order.size()},
                         {factor.data(), factor.size()},
                         {scales.data(), scales.size()},
                         {centres.data(), centres.size()},
                         group_size,
                         low,
                         high,
                         name},
                        {choose_isa(), threads}, codes.span());
  }
  return nb::cast(codes.release({weights.shape(0), weights.shape(1)}));
}

nb::ndarray<nb::numpy, std::uint8_t> pack_arrays(const U8Matrix& codes, const F32Matrix& scales,
                                                 const U8Matrix& zeros, const std::string& format) {
  const WeightFormat weight_format = format_named(format);
  OwnedArray<std::uint8_t> part(packed_size(weight_format, codes.shape(0), codes.shape(1)).total());
  {
    const nb::gil_scoped_release released;
    pack_rows({{const_cast<std::uint8_t*>(codes.data()), codes.size()},
               {const_cast<float*>(scales.data()), scales.size()},
               {const_cast<std::uint8_t*>(zeros.data()), zeros.size()}},
              weight_format, codes.shape(0), codes.shape(1), part.span());
  }
  return part.release({part.size});
}

nb::ndarray<nb::numpy, float> dequantize_array(const Bytes& part, const std::string& format,
                                               std::size_t rows, std::size_t cols) {
  const WeightFormat weight_format = format_named(format);
  if (part.size() != packed_size(weight_format, rows, cols).total()) {
    throw Error("quantize-unsupported", format, "the part is not of that many rows and columns");
  }
  OwnedArray<float> values(rows * cols);
  {
    const nb::gil_scoped_release released;
    dequantize_rows({part.data(), part.size()}, weight_format, rows, cols, values.span());
  }
  return values.release({rows, cols});
}

std::tuple<std::size_t, std::size_t, std::size_t> packed_sizes(const std::string& format,
                                                               std::uint64_t rows,
                                                               std::uint64_t cols) {
  const PackedSize size = packed_size(format_named(format), rows, cols);
  return {size.codes, size.scales, size.zeros};
}

}  // namespace

void bind_quantize(nb::module_& module) {
  using namespace nb::literals;
  module.def("quantize_rows", quantize_array, "rows"_a, "dtype"_a, "format"_a, "threads"_a = 1,
             "name"_a = "", "first_row"_a = 0, "importance"_a = nb::none(),
             "Quantize or convert rows to one part: (bytes, sum_sq_error, sum_sq, max_abs).");
  module.def("round_with_feedback", round_arrays, "weights"_a, "order"_a, "factor"_a, "scales"_a,
             "centres"_a, "group_size"_a, "low"_a, "high"_a, "threads"_a = 1, "name"_a = "",
             "Round with error feedback: codes (rows, cols), uint8.");
  module.def("unpack_rows", unpack_array, "part"_a, "format"_a, "rows"_a, "cols"_a,
             "Unpack a part: codes (rows, cols), scales and zeros (rows, groups).");
  module.def("pack_rows", pack_arrays, "codes"_a, "scales"_a, "zeros"_a, "format"_a,
             "Pack codes (uint8 view), scales and zeros into one part's bytes.");
  module.def("dequantize_rows", dequantize_array, "part"_a, "format"_a, "rows"_a, "cols"_a,
             "The weights a part stands for, float32 (rows, cols).");
  module.def("packed_size", packed_sizes, "format"_a, "rows"_a, "cols"_a,
             "Bytes of a part's codes, scales and zero points.");
}

}  // namespace pocketr1
