// Dot products of four bytes, sixteen at a time, as plain loops: the reference for the others. All
// sums are exact.
#pragma once

#include "kernels/scalar/f32x16.h"

namespace pocketr1::scalar {
namespace {

// What load_keys() adds to every code: 128 where a dot product wants one of the two unsigned.
constexpr std::int32_t kKeyOffset = 0;

struct I32x16 {
  std::int32_t lane[16];
};
struct Bytes64 {
  const std::int8_t* code;  // lane l: 4 l .. 4 l + 3
};
struct Bytes4 {
  const void* digits;  // of every lane
};

inline I32x16 whole(std::int32_t x) {
  I32x16 out;
  for (std::int32_t& lane : out.lane) lane = x;
  return out;
}
// 128 x + start.
inline I32x16 next_digit(I32x16 x, std::int32_t start) {
  for (std::int32_t& lane : x.lane) lane = lane * 128 + start;
  return x;
}
inline F32x16 to_float(I32x16 x) {
  return each([&](int i) { return static_cast<float>(x.lane[i]); });
}
inline Bytes64 load_keys(const std::int8_t* p) { return {p}; }
inline Bytes64 load_values(const std::int8_t* p) { return {p}; }
inline Bytes4 broadcast4(const void* digits) { return {digits}; }
// Adds to every lane its codes times four digits in -64..64.
inline void add_key_products(I32x16& sum, Bytes64 keys, Bytes4 four) {
  const auto* digits = static_cast<const std::int8_t*>(four.digits);
  for (int i = 0; i < 64; ++i) sum.lane[i / 4] += keys.code[i] * digits[i % 4];
}
// Adds to every lane its codes times four digits in 0..127.
inline void add_value_products(I32x16& sum, Bytes64 values, Bytes4 four) {
  const auto* digits = static_cast<const std::uint8_t*>(four.digits);
  for (int i = 0; i < 64; ++i) sum.lane[i / 4] += values.code[i] * digits[i % 4];
}
// Rounds x, in 0..16383, and stores its two digits of base 128.
inline void store_digits(F32x16 x, std::uint8_t* high, std::uint8_t* low) {
  const F32x16 rounded = round(x);
  for (int i = 0; i < 16; ++i) {
    const int value = static_cast<int>(rounded.lane[i]);
    high[i] = static_cast<std::uint8_t>(value >> 7);
    low[i] = static_cast<std::uint8_t>(value & 127);
  }
}

}  // namespace
}  // namespace pocketr1::scalar
