#include "ops/rope.h"

#include <cmath>

namespace pocketr1 {

SinCos sin_cos(double x) {
  // Cody and Waite: pi/2 in three parts of 33 bits, exact under a multiple below 2^20, and a rest.
  constexpr double kPart1 = 1.57079632673412561417e+00;
  constexpr double kPart2 = 6.07710050630396597660e-11;
  constexpr double kPart3 = 2.02226624871116645580e-21;
  constexpr double kRest = 8.47842766036889956997e-32;
  const double quarter = std::floor(x * 0.63661977236758134308 + 0.5);
  const double r = ((x - quarter * kPart1) - quarter * kPart2) - quarter * kPart3 - quarter * kRest;

  // Taylor series on |r| <= pi/4; the first term left out is below 2^-60.
  const double z = r * r;
  double s = -7.6471637318198164759e-13;  // -1/15!
  s = s * z + 1.6059043836821614599e-10;  // 1/13!
  s = s * z - 2.5052108385441718775e-08;
  s = s * z + 2.7557319223985890653e-06;
  s = s * z - 1.9841269841269841270e-04;
  s = s * z + 8.3333333333333333333e-03;
  s = s * z - 1.6666666666666666667e-01;
  const double sin_r = r + r * z * s;
  double c = 4.7794773323873852974e-14;   // 1/16!
  c = c * z - 1.1470745597729724714e-11;  // -1/14!
  c = c * z + 2.0876756987868098979e-09;
  c = c * z - 2.7557319223985890653e-07;
  c = c * z + 2.4801587301587301587e-05;
  c = c * z - 1.3888888888888888889e-03;
  c = c * z + 4.1666666666666666667e-02;
  c = c * z - 0.5;
  const double cos_r = 1.0 + z * c;

  switch (static_cast<long long>(quarter) & 3) {
    case 0:
      return {sin_r, cos_r};
    case 1:
      return {cos_r, -sin_r};
    case 2:
      return {-sin_r, -cos_r};
    default:
      return {-cos_r, sin_r};
  }
}

void rope_angles(std::span<const float> inv_freq, std::size_t position, float scaling, float* cos,
                 float* sin) {
  for (std::size_t i = 0; i < inv_freq.size(); ++i) {
    const float angle = static_cast<float>(position) * inv_freq[i];
    const SinCos turned = sin_cos(static_cast<double>(angle));
    cos[i] = static_cast<float>(turned.cos) * scaling;
    sin[i] = static_cast<float>(turned.sin) * scaling;
  }
}

void rope(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin) {
  const std::size_t half = head_dim / 2;
  for (std::size_t h = 0; h < heads; ++h) {
    float* first = x + h * head_dim;
    float* second = first + half;
    for (std::size_t i = 0; i < half; ++i) {
      const float a = first[i];
      const float b = second[i];
      first[i] = a * cos[i] - b * sin[i];
      second[i] = b * cos[i] + a * sin[i];
    }
  }
}

}  // namespace pocketr1
