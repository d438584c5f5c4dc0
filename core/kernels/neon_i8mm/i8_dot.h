// Dot products of four bytes: those of the dot product.
#pragma once

#include "kernels/neon_dotprod/i8_dot.h"
#include "kernels/neon_i8mm/f32x16.h"
