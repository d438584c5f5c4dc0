#include "base/error.h"
#include "bindings/bindings.h"

namespace nb = nanobind;

namespace {

// pocketr1::Error becomes the class that pocketr1.errors.from_core chooses for its code.
void translate_error(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const pocketr1::Error& error) {
    const nb::object exception =
        nb::module_::import_("pocketr1.errors")
            .attr("from_core")(error.code().c_str(), error.where().c_str(), error.reason().c_str());
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  }
}

}  // namespace

NB_MODULE(_core, module) {
  module.doc() = "The compiled core of Pocket R1; use the pocketr1 package instead.";
  nb::register_exception_translator(translate_error);
  pocketr1::bind_bundle(module);
  pocketr1::bind_quantize(module);
  pocketr1::bind_engine(module);
  pocketr1::bind_probe(module);
}
