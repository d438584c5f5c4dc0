// Sixteen floats: i8mm adds nothing for them.
#pragma once

#include "kernels/neon_dotprod/f32x16.h"

namespace pocketr1::neon_i8mm {
using namespace neon_dotprod;
}  // namespace pocketr1::neon_i8mm
