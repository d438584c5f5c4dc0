// The search for f8e4m3's scales: one body (float8_scale.inl), compiled once per instruction set,
// the same scales on each. Seen by files built with target flags: nothing here may instantiate a
// template.
#pragma once

namespace pocketr1 {

// The scale of 128 weights (zero where there are fewer), `largest` the largest magnitude, not 0.
// The first candidate is the least that clips nothing; 15 more up to twice that are tried, since
// the grid is finest just above a power of two, and the least squared error wins, the earlier where
// two are equal.
using Float8Scale = float (*)(const float* values, float largest);

float float8_scale_scalar(const float* values, float largest);
float float8_scale_avx2(const float* values, float largest);

}  // namespace pocketr1
