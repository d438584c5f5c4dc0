// Sixteen floats in one AVX-512 register; meanings as in kernels/scalar/f32x16.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace pocketr1::avx512_vnni {
namespace {

struct F32x16 {
  __m512 value;
};

inline __mmask16 first_lanes(std::size_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u);
}
inline float half_to_float(std::uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}
inline F32x16 zero() { return {_mm512_setzero_ps()}; }
inline F32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline F32x16 load_first(const float* p, std::size_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline F32x16 broadcast_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(*p)))};
}
inline F32x16 load_i8(const std::int8_t* p) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes))};
}
inline F32x16 load_e4m3(const std::uint8_t* p) {
  // Sign extension puts the sign where a shift brings it to the top; the copy below it goes.
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i fields = _mm256_set1_epi16(static_cast<short>(0xbf80));
  return {_mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(wide, 7), fields))};
}
inline void store(float* p, F32x16 x) { _mm512_storeu_ps(p, x.value); }
inline void store_first(float* p, F32x16 x, std::size_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x.value);
}
inline void store_f16(std::uint16_t* p, F32x16 x) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x.value, nearest));
}
inline void store_i8(std::int8_t* p, F32x16 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x.value)));
}
inline F32x16 add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.value, b.value)}; }
inline F32x16 sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.value, b.value)}; }
inline F32x16 mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.value, b.value)}; }
inline F32x16 div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.value, b.value)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fmadd_ps(a.value, b.value, c.value)};
}
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.value, b.value)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.value, b.value)}; }
inline F32x16 abs(F32x16 a) { return {_mm512_abs_ps(a.value)}; }
inline F32x16 round(F32x16 x) {
  const F32x16 magic = broadcast(12582912.0f);
  return sub(add(x, magic), magic);
}
inline F32x16 pow2(F32x16 n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n.value), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
}
inline __m256 upper(__m512 x) { return _mm512_extractf32x8_ps(x, 1); }
inline float reduce_add(F32x16 x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.value), upper(x.value));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline void reduce_add4(F32x16 a, F32x16 b, F32x16 c, F32x16 d, float* out) {
  // Lanes 0..7 of two vectors and lanes 8..15 of them, side by side.
  const auto eight = [](__m512 x, __m512 y) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
  };
  const __m512 ab = eight(a.value, b.value);
  const __m512 cd = eight(c.value, d.value);
  const __m512 four =
      _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  const __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4e));
  const __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xb1));
  const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, one)));
}
inline float reduce_max(F32x16 x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x.value), upper(x.value));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

}  // namespace
}  // namespace pocketr1::avx512_vnni
