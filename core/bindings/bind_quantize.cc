#include "bindings/bindings.h"

namespace pocketr1 {

void bind_quantize(nanobind::module_&) {}

}  // namespace pocketr1
