// Dot products of four bytes by vpdpbusd; meanings as in kernels/scalar/i8_dot.h. In assembly, as
// in linear_a8.inl.
#pragma once

#include "kernels/avx512_vnni/f32x16.h"

namespace pocketr1::avx512_vnni {
namespace {

constexpr std::int32_t kKeyOffset = 128;

struct I32x16 {
  __m512i value;
};
struct Bytes64 {
  __m512i value;
};
struct Bytes4 {
  __m512i value;  // the four, sixteen times
};

inline I32x16 whole(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
inline I32x16 next_digit(I32x16 x, std::int32_t start) {
  return {_mm512_add_epi32(_mm512_slli_epi32(x.value, 7), _mm512_set1_epi32(start))};
}
inline F32x16 to_float(I32x16 x) { return {_mm512_cvtepi32_ps(x.value)}; }
inline Bytes64 load_keys(const std::int8_t* p) {
  return {_mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(0x80)))};
}
inline Bytes64 load_values(const std::int8_t* p) { return {_mm512_loadu_si512(p)}; }
inline Bytes4 broadcast4(const void* digits) {
  std::int32_t four;
  __builtin_memcpy(&four, digits, 4);
  return {_mm512_set1_epi32(four)};
}
inline void add_key_products(I32x16& sum, Bytes64 keys, Bytes4 digits) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.value) : "v"(keys.value), "v"(digits.value));
}
inline void add_value_products(I32x16& sum, Bytes64 values, Bytes4 digits) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.value) : "v"(digits.value), "v"(values.value));
}
inline void store_digits(F32x16 x, std::uint8_t* high, std::uint8_t* low) {
  const __m512i rounded = _mm512_cvtps_epi32(x.value);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high),
                   _mm512_cvtepi32_epi8(_mm512_srli_epi32(rounded, 7)));
  const __m512i rest = _mm512_and_si512(rounded, _mm512_set1_epi32(127));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm512_cvtepi32_epi8(rest));
}

}  // namespace
}  // namespace pocketr1::avx512_vnni
