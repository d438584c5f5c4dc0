// Dot products of four bytes by way of 16 bits; meanings as in kernels/scalar/i8_dot.h. The digits
// are small enough for vpmaddubsw, which saturates: 2 * 255 * 64 and 2 * 127 * 127 fit.
#pragma once

#include "kernels/avx2/f32x16.h"

namespace pocketr1::avx2 {
namespace {

constexpr std::int32_t kKeyOffset = 128;

struct I32x16 {
  __m256i low;   // lanes 0..7
  __m256i high;  // lanes 8..15
};
struct Bytes64 {
  __m256i low;
  __m256i high;
};
struct Bytes4 {
  __m256i value;  // the four, eight times
};

inline __m256i dot4(__m256i sum, __m256i unsigned_bytes, __m256i signed_bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(unsigned_bytes, signed_bytes);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

inline I32x16 whole(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline I32x16 next_digit(I32x16 x, std::int32_t start) {
  const __m256i more = _mm256_set1_epi32(start);
  return {_mm256_add_epi32(_mm256_slli_epi32(x.low, 7), more),
          _mm256_add_epi32(_mm256_slli_epi32(x.high, 7), more)};
}
inline F32x16 to_float(I32x16 x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
inline Bytes64 load_values(const std::int8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline Bytes64 load_keys(const std::int8_t* p) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const Bytes64 codes = load_values(p);
  return {_mm256_xor_si256(codes.low, flip), _mm256_xor_si256(codes.high, flip)};
}
inline Bytes4 broadcast4(const void* digits) {
  std::int32_t four;
  __builtin_memcpy(&four, digits, 4);
  return {_mm256_set1_epi32(four)};
}
inline void add_key_products(I32x16& sum, Bytes64 keys, Bytes4 digits) {
  sum = {dot4(sum.low, keys.low, digits.value), dot4(sum.high, keys.high, digits.value)};
}
inline void add_value_products(I32x16& sum, Bytes64 values, Bytes4 digits) {
  sum = {dot4(sum.low, digits.value, values.low), dot4(sum.high, digits.value, values.high)};
}
inline void store_digits(F32x16 x, std::uint8_t* high, std::uint8_t* low) {
  // Sixteen integers as 16 bits, in order.
  const __m256i pairs = _mm256_permute4x64_epi64(
      _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)), 0xd8);
  const auto bytes = [](__m256i words) {
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  };
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high), bytes(_mm256_srli_epi16(pairs, 7)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low),
                   bytes(_mm256_and_si256(pairs, _mm256_set1_epi16(127))));
}

}  // namespace
}  // namespace pocketr1::avx2
