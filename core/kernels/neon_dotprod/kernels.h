// The kernels of this folder.
#pragma once

#include "kernels/table.h"

namespace pocketr1::neon_dotprod {

#include "kernels/generic/declarations.inl"

}  // namespace pocketr1::neon_dotprod
