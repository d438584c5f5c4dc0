// Arithmetic on kLanes rows of a block at once, for the bodies of this room; included once by a file
// per instruction set, inside an anonymous namespace, with kLanes the float lanes of its registers.

constexpr std::size_t kRows = 16;

typedef float F32 __attribute__((vector_size(4 * kLanes)));
typedef double F64 __attribute__((vector_size(8 * kLanes)));
typedef std::int32_t I32 __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t U32 __attribute__((vector_size(4 * kLanes)));

inline F32 splat(float value) {
  F32 all;
  for (std::size_t i = 0; i < kLanes; ++i) all[i] = value;
  return all;
}

inline F32 load(const float* from) {
  F32 value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, const F32& value) { __builtin_memcpy(to, &value, sizeof value); }
inline F32 least(const F32& a, const F32& b) { return a < b ? a : b; }
inline F32 most(const F32& a, const F32& b) { return a > b ? a : b; }

// To the nearest integer, ties to even, for |value| < 2^22.
inline F32 round_even(const F32& value) {
  const F32 magic = splat(12582912.0F);  // 1.5 * 2^23
  return (value + magic) - magic;
}

// f32 bits of f16 bits, exact; subnormals without touching an f32 subnormal.
inline std::uint32_t f16_to_f32_bits(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  std::uint32_t bits = (half & 0x7fffU) << 13;
  const std::uint32_t exponent = bits & 0x0f800000U;
  bits += 0x38000000U;                                              // rebias 15 -> 127
  if (exponent == 0x0f800000U) return sign | (bits + 0x38000000U);  // infinity, NaN
  if (exponent == 0) {
    bits += 0x00800000U;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    value -= 6.103515625e-05F;  // 2^-14
    __builtin_memcpy(&bits, &value, sizeof bits);
  }
  return sign | bits;
}

// f16 bits of values in [0, 65504], to the nearest, ties to even.
inline U32 to_f16_bits(const F32& value) {
  const F32 half = splat(0.5F);
  const U32 small = (U32)(value + half) - (U32)half;  // below 2^-14: f32 adds round at 2^-24
  const U32 bits = (U32)value;
  const U32 normal = (bits - 0x38000000U + 0xfffU + ((bits >> 13) & 1U)) >> 13;
  return value < splat(6.103515625e-05F) ? small : normal;
}

// The values of those f16 bits (positive, finite).
inline F32 from_f16_bits(const U32& bits) {
  const U32 shifted = bits << 13;
  const F32 normal = (F32)(shifted + 0x38000000U);
  const F32 small = (F32)(shifted + 0x38800000U) - splat(6.103515625e-05F);
  return shifted < (U32{} + 0x00800000U) ? small : normal;
}

// A scale as it will be stored, in f16's range: 2^-24 at least unless it is zero, so that no group
// of tiny weights is lost to rounding; 65504 at most, where it clips.
inline F32 stored_scale(const F32& scale) {
  const F32 zero = splat(0.0F);
  const F32 in_range = least(most(scale, splat(0x1p-24F)), splat(65504.0F));
  return from_f16_bits(to_f16_bits(scale > zero ? in_range : zero));
}

inline F32 inverse(const F32& scale) {
  const F32 zero = splat(0.0F);
  return scale > zero ? splat(1.0F) / scale : zero;
}
