// The kernels of this folder.
#pragma once

#include "kernels/table.h"

namespace pocketr1::neon_i8mm {

#include "kernels/generic/declarations.inl"

}  // namespace pocketr1::neon_i8mm
