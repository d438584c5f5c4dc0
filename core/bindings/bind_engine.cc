#include "bindings/bindings.h"

namespace pocketr1 {

void bind_engine(nanobind::module_&) {}

}  // namespace pocketr1
