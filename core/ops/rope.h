// Rotary position embedding (Su et al., RoFormer, 2021) in the halves layout of Hugging Face
// checkpoints: channel i turns with channel i + head_dim / 2.
#pragma once

#include <cstddef>
#include <span>

namespace pocketr1 {

// sin and cos of x radians, |x| <= 2^20, to the last place or nearly, from single double
// operations: the same bits on every machine, whatever its C library.
struct SinCos {
  double sin;
  double cos;
};
SinCos sin_cos(double x);

// cos and sin (inv_freq.size() each) at a position: of the float32 product position * inv_freq, as
// the reference computes it, times `scaling`.
void rope_angles(std::span<const float> inv_freq, std::size_t position, float scaling, float* cos,
                 float* sin);

// Turns `heads` heads of head_dim floats in place.
void rope(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin);

}  // namespace pocketr1
