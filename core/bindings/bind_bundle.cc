#include "bindings/bindings.h"

namespace pocketr1 {

void bind_bundle(nanobind::module_&) {}

}  // namespace pocketr1
