// What would a lookup cost? The 4-bit kernels with and without 16 levels looked up in a register.
//
//   g++ -O3 -std=c++20 -I core -mavx2 -mfma -mf16c [-mavx512f -mavx512bw -mavx512dq -mavx512vl
//       -mavx512vnni -mprefer-vector-width=512] benchmarks/table_lookup.cc -o table_lookup
//   ./table_lookup
//
// Times the very loops of core/kernels (AVX-512 VNNI with the flags in brackets, else AVX2) on
// 4-bit weights in groups of 64, one thread, by turns: the formats differ in how a tile is loaded
// and, on AVX2, in how soon sums of 16 bits have to be widened. Prints the least seconds of each of
// the rounds, and what the lookup adds: for weights from memory and from the cache, one row of
// activations (decoding) and 48 (prefill). Nothing is checked, the weights are random.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#ifdef __AVX512VNNI__
#include "kernels/avx512_vnni/f32x16.h"
#include "kernels/avx512_vnni/kernels.h"
#define ISA avx512_vnni
#else
#include "kernels/avx2/f32x16.h"
#include "kernels/avx2/kernels.h"
#define ISA avx2
#endif

namespace pocketr1::ISA {

#ifdef __AVX512VNNI__
#include "kernels/avx512_vnni/linear_a8.inl"
#else
#include "kernels/avx2/linear_a8.inl"
#endif

namespace {

// Levels between -63 and 63, as unsigned bytes about 64: two products of maddubs stay in 16 bits.
alignas(16) constexpr std::uint8_t kLevels[16] = {1,  12, 23, 32, 40, 47, 53,  59,
                                                  65, 70, 76, 83, 90, 98, 108, 120};

#ifdef __AVX512VNNI__

template <bool table>
struct W4 {
  static constexpr std::size_t kGroup = 64;
  static constexpr std::size_t kUnitInputs = 8;
  static constexpr std::size_t kUnitBytes = kTileBytes;
  static constexpr bool kStartPerBlock = false;
  template <std::size_t step>
  static void load(const std::uint8_t* tile, __m512i& first, __m512i& second) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i both = _mm512_loadu_si512(tile);
    first = _mm512_and_si512(both, nibble);
    second = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    if constexpr (table) {
      const __m512i levels =
          _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kLevels)));
      first = _mm512_shuffle_epi8(levels, first);
      second = _mm512_shuffle_epi8(levels, second);
    }
  }
  static __m512i start(std::int32_t a_sum, const std::uint8_t* zeros) {
    return start_unsigned<table ? 7 : 4, false>(a_sum, zeros);
  }
};

#else

template <bool table>
struct W4 {
  static constexpr std::size_t kGroup = 64;
  static constexpr std::size_t kUnitBytes = 4 * kTileBytes;
  static constexpr bool kStartPerBlock = false;
  template <std::size_t rows>
  static inline __attribute__((always_inline)) void multiply(const std::uint8_t* codes,
                                                             const std::int8_t* inputs,
                                                             std::size_t stride,
                                                             __m256i (&sum)[rows]) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i pairs[rows];
#pragma GCC unroll 4
    for (std::size_t tile = 0; tile < 4; ++tile) {
      const __m256i both = load_half(codes + tile * kTileBytes);
      __m256i low = _mm256_and_si256(both, nibble);
      __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      if constexpr (table) {
        const __m256i levels =
            _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kLevels)));
        low = _mm256_shuffle_epi8(levels, low);
        high = _mm256_shuffle_epi8(levels, high);
        const __m256i ones = _mm256_set1_epi16(1);
        const std::int8_t* eight = inputs + tile * 8;
#pragma GCC unroll 4
        for (std::size_t i = 0; i < rows; ++i, eight += stride) {
          const __m256i first = _mm256_maddubs_epi16(low, broadcast4(eight));
          const __m256i second = _mm256_maddubs_epi16(high, broadcast4(eight + 4));
          sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(first, ones));
          sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(second, ones));
        }
      } else {
        add_pairs(tile == 0, low, high, inputs + tile * 8, stride, pairs);
      }
    }
    if constexpr (!table) widen_pairs(pairs, sum);
  }
  static __m256i start(std::int32_t a_sum, const std::uint8_t* zeros) {
    return start_unsigned<table ? 7 : 4, false>(a_sum, zeros);
  }
};

#endif

}  // namespace

template <bool table>
double seconds(const LinearArgs& p, int repeat) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeat; ++i) {
    (p.batch > kGemvRows ? gemm<W4<table>> : gemv<W4<table>>)(p, 0, p.rows / kTileRows);
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return taken.count() / repeat;
}

}  // namespace pocketr1::ISA

int main() {
  using namespace pocketr1;
  constexpr std::size_t kCols = 1536;
  constexpr int kRounds = 40;
  std::mt19937 random(1);
  std::printf("%-8s %6s %12s %12s %8s\n", "weights", "rows", "even, ms", "table, ms", "more");
  for (const std::size_t rows : {std::size_t{256}, std::size_t{131072}}) {
    for (const std::size_t batch : {std::size_t{1}, std::size_t{48}}) {
      std::vector<std::uint8_t> codes(rows * kCols / 2 + 8192);
      std::vector<std::uint16_t> scales(rows * kCols / 64, 0x2000);
      std::vector<std::int8_t> a(batch * kCols);
      std::vector<float> a_scales(batch * kCols / kActivationGroup, 1.0F);
      std::vector<std::int32_t> a_sums(batch * kCols / kActivationSum, 0);
      std::vector<float> y(batch * rows);
      for (auto& code : codes) code = static_cast<std::uint8_t>(random());
      for (auto& code : a) code = static_cast<std::int8_t>(random() % 255 - 127);
      LinearArgs p{};
      p.codes = codes.data();
      p.scales = scales.data();
      p.rows = rows;
      p.cols = kCols;
      p.a = {a.data(), a_scales.data(), a_sums.data(), kCols};
      p.batch = batch;
      p.y = y.data();
      p.y_stride = rows;
      const int repeat = rows < 1024 ? (batch == 1 ? 200 : 20) : 1;
      double even = 1e9;
      double table = 1e9;
      for (int round = 0; round < (batch > 1 && rows > 1024 ? 5 : kRounds); ++round) {
        even = std::min(even, ISA::seconds<false>(p, repeat));
        table = std::min(table, ISA::seconds<true>(p, repeat));
      }
      std::printf("%-8s %6zu %12.4f %12.4f %7.1f%%\n", rows < 1024 ? "cache" : "memory", batch,
                  1e3 * even, 1e3 * table, 100 * (table / even - 1));
    }
  }
}
