// The body of float8_scale_*; included once by a file per instruction set, inside an anonymous
// namespace. Sums have eight lanes, whatever the registers hold, and one tree.

constexpr std::size_t kGroup = 128;
constexpr std::size_t kLanes = 8;
constexpr int kCandidates = 16;

typedef float F32 __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t I32 __attribute__((vector_size(4 * kLanes)));

// Sum of squared errors of a group with that scale. |values / scale| is at most 448 and its rounding.
inline float squared_error(const float* values, float scale) {
  constexpr std::int32_t kSign = -0x7fffffff - 1;
  F32 sum{};
  for (std::size_t i = 0; i < kGroup; i += kLanes) {
    F32 value;
    __builtin_memcpy(&value, values + i, sizeof value);
    const I32 bits = (I32)(value / scale);
    const I32 size = bits & 0x7fffffff;
    // To the nearest with 3 bits of mantissa, ties to even; below 2^-6 in steps of 2^-9.
    const I32 normal = (size + 0x7ffff + ((size >> 20) & 1)) & -0x100000;
    const I32 small = (I32)(((F32)size + 16384.0F) - 16384.0F);
    const I32 is_small = size < 0x3c800000;
    const I32 near = (small & is_small) | (normal & ~is_small);
    const F32 error = value - (F32)((bits & kSign) | near) * scale;
    sum = sum + error * error;
  }
  float lanes[kLanes];
  __builtin_memcpy(lanes, &sum, sizeof lanes);
  for (std::size_t step = kLanes / 2; step != 0; step /= 2) {
    for (std::size_t l = 0; l < step; ++l) lanes[l] = lanes[l] + lanes[l + step];
  }
  return lanes[0];
}

inline float float8_scale(const float* values, float largest) {
  // A scale that would be zero is the least there is.
  const float least = largest / 448.0F > 0x1p-149F ? largest / 448.0F : 0x1p-149F;
  float best = least;
  float best_error = squared_error(values, least);
  for (int i = 1; i < kCandidates; ++i) {
    const float scale = least * (1.0F + static_cast<float>(i) / kCandidates);
    if (scale > 0x1p119F) break;  // kLargestFloat8Scale
    const float error = squared_error(values, scale);
    if (error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  return best;
}
