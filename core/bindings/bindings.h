// One function per room; each converts types and nothing else.
#pragma once

#include <nanobind/nanobind.h>

namespace pocketr1 {

void bind_bundle(nanobind::module_& module);
void bind_quantize(nanobind::module_& module);
void bind_engine(nanobind::module_& module);
void bind_probe(nanobind::module_& module);

}  // namespace pocketr1
