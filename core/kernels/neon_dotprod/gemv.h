// Up to four rows of activations against unsigned codes: a tile is four registers, 4 rows x 4 bytes
// each; what is taken out of it is as good signed as unsigned, and sdot takes four activations by
// lane. The zero point comes off in a group's start value.
//
// For one row of activations, codes of 3 and 2 bits are left where a mask finds them: sums of 4, 8
// or 16 times the products are kept apart and divided, exactly, at the group's end.
#pragma once

#include "kernels/neon_dotprod/codes.h"
#include "kernels/neon_dotprod/group_sum.h"
#include "kernels/table.h"

namespace pocketr1::neon_dotprod {
namespace {

constexpr std::size_t kAhead = 2048;  // bytes of codes to prefetch

// Adds to each sum its 4 codes times 4 activations. In assembly where sums are many: around the
// intrinsic, GCC 12 copies them to other registers and back.
template <int lane>
inline void dot_in_place(int32x4_t& sum, uint8x16_t codes, int8x16_t a) {
  __asm__("sdot %0.4s, %1.16b, %2.4b[%c3]" : "+w"(sum) : "w"(codes), "w"(a), "i"(lane));
}

// Adds codes of 4 inputs, and codes of the next 4, to the sums of a quarter.
template <int lane, std::size_t quarters, std::size_t batch>
inline void add_pair(uint8x16_t low, uint8x16_t high, const int8x16_t (&a)[batch], std::size_t q,
                     int32x4_t (&sum)[batch][quarters]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i)
    sum[i][q] = vdotq_laneq_s32(sum[i][q], vreinterpretq_s8_u8(low), a[i], lane);
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i)
    sum[i][q] = vdotq_laneq_s32(sum[i][q], vreinterpretq_s8_u8(high), a[i], lane + 1);
}

template <std::size_t batch>
inline void load_inputs(const std::int8_t* a, std::size_t stride, int8x16_t (&inputs)[batch]) {
  for (std::size_t i = 0; i < batch; ++i) inputs[i] = vld1q_s8(a + i * stride);
}

template <std::uint8_t mask>
inline uint8x16_t masked(uint8x16_t codes) {
  return vandq_u8(codes, vdupq_n_u8(mask));
}

// To sums of products, those of 4 and of 2^shift times as much.
template <int shift, std::size_t quarters>
inline void join_three(int32x4_t (&sums)[3][1][quarters]) {
#pragma GCC unroll 4
  for (std::size_t q = 0; q < quarters; ++q) {
    sums[0][0][q] = vsraq_n_s32(vsraq_n_s32(sums[0][0][q], sums[1][0][q], 2), sums[2][0][q], shift);
  }
}

// How a format's codes are multiplied:
//   kInputs, kBytes      a step: its inputs, a multiple of 16, and the bytes of its tiles
//   kSums                how many sums are kept apart
//   add(tiles, a, stride, sums)
//   join(sums)           all of them, in the first
template <typename Codes, std::size_t batch>
struct Products;

template <std::size_t batch>
struct Products<Codes4, batch> {
  static constexpr std::size_t kInputs = 16;
  static constexpr std::size_t kBytes = 2 * kTileBytes;
  static constexpr std::size_t kSums = 1;
  template <std::size_t quarters>
  static inline void add(const std::uint8_t* tiles, const std::int8_t* a, std::size_t stride,
                         int32x4_t (&sums)[kSums][batch][quarters]) {
    int8x16_t inputs[batch];
    load_inputs(a, stride, inputs);
    add_tile<0>(tiles, inputs, sums[0]);
    keep_order(sums[0]);
    add_tile<2>(tiles + kTileBytes, inputs, sums[0]);
  }
  template <std::size_t quarters>
  static inline void join(int32x4_t (&)[kSums][batch][quarters]) {}

 private:
  template <int lane, std::size_t quarters>
  static inline void add_tile(const std::uint8_t* tile, const int8x16_t (&a)[batch],
                              int32x4_t (&sum)[batch][quarters]) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      uint8x16_t fours[2];
      Codes4::unpack(tile + 16 * q, fours);
      add_pair<lane>(fours[0], fours[1], a, q, sum);
    }
  }
};

template <std::size_t batch>
struct Products<Codes3, batch> {
  static constexpr std::size_t kInputs = 32;
  static constexpr std::size_t kBytes = 3 * kTileBytes;
  static constexpr std::size_t kSums = 1;
  template <std::size_t quarters>
  static inline void add(const std::uint8_t* tiles, const std::int8_t* a, std::size_t stride,
                         int32x4_t (&sums)[kSums][batch][quarters]) {
    int8x16_t inputs[batch];
    load_inputs(a, stride, inputs);
    add_tile<0>(tiles, inputs, sums[0]);
    keep_order(sums[0]);
    add_tile<2>(tiles + kTileBytes, inputs, sums[0]);
    keep_order(sums[0]);
    load_inputs(a + 16, stride, inputs);
    add_tile<0>(tiles + 2 * kTileBytes, inputs, sums[0]);
    keep_order(sums[0]);
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const std::uint8_t* quarter = tiles + 16 * q;
      const uint8x16_t rests = join_rests(vld1q_u8(quarter), vld1q_u8(quarter + kTileBytes),
                                          vld1q_u8(quarter + 2 * kTileBytes));
      add_pair<2>(vandq_u8(vshrq_n_u8(rests, 2), vdupq_n_u8(7)), vshrq_n_u8(rests, 5), inputs, q,
                  sums[0]);
    }
  }
  template <std::size_t quarters>
  static inline void join(int32x4_t (&)[kSums][batch][quarters]) {}

 private:
  template <int lane, std::size_t quarters>
  static inline void add_tile(const std::uint8_t* tile, const int8x16_t (&a)[batch],
                              int32x4_t (&sum)[batch][quarters]) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const uint8x16_t both = vld1q_u8(tile + 16 * q);
      add_pair<lane>(vandq_u8(both, vdupq_n_u8(7)), vandq_u8(vshrq_n_u8(both, 3), vdupq_n_u8(7)), a,
                     q, sum);
    }
  }
};

template <>
struct Products<Codes3, 1> {
  static constexpr std::size_t kInputs = 32;
  static constexpr std::size_t kBytes = 3 * kTileBytes;
  static constexpr std::size_t kSums = 3;  // of products, of 4 and of 8 times as much
  template <std::size_t quarters>
  static inline void add(const std::uint8_t* tiles, const std::int8_t* a, std::size_t,
                         int32x4_t (&sums)[kSums][1][quarters]) {
    const int8x16_t first = vld1q_s8(a);
    const int8x16_t last = vld1q_s8(a + 16);
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      int32x4_t& one = sums[0][0][q];
      int32x4_t& four = sums[1][0][q];
      int32x4_t& eight = sums[2][0][q];
      const uint8x16_t tile0 = vld1q_u8(tiles + 16 * q);
      const uint8x16_t tile1 = vld1q_u8(tiles + 16 * q + kTileBytes);
      const uint8x16_t tile2 = vld1q_u8(tiles + 16 * q + 2 * kTileBytes);
      const uint8x16_t rests = join_rests(tile0, tile1, tile2);
      dot_in_place<0>(one, masked<0x07>(tile0), first);
      dot_in_place<1>(eight, masked<0x38>(tile0), first);
      dot_in_place<2>(one, masked<0x07>(tile1), first);
      dot_in_place<3>(eight, masked<0x38>(tile1), first);
      dot_in_place<0>(one, masked<0x07>(tile2), last);
      dot_in_place<1>(eight, masked<0x38>(tile2), last);
      dot_in_place<2>(four, masked<0x1c>(rests), last);
      dot_in_place<3>(one, vshrq_n_u8(rests, 5), last);
    }
  }
  template <std::size_t quarters>
  static inline void join(int32x4_t (&sums)[kSums][1][quarters]) {
    join_three<3>(sums);
  }
};

template <std::size_t batch>
struct Products<Codes2, batch> {
  static constexpr std::size_t kInputs = 16;
  static constexpr std::size_t kBytes = kTileBytes;
  static constexpr std::size_t kSums = 1;
  template <std::size_t quarters>
  static inline void add(const std::uint8_t* tile, const std::int8_t* a, std::size_t stride,
                         int32x4_t (&sums)[kSums][batch][quarters]) {
    int8x16_t inputs[batch];
    load_inputs(a, stride, inputs);
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      uint8x16_t fours[4];
      Codes2::unpack(tile + 16 * q, fours);
      add_pair<0>(fours[0], fours[1], inputs, q, sums[0]);
      add_pair<2>(fours[2], fours[3], inputs, q, sums[0]);
    }
  }
  template <std::size_t quarters>
  static inline void join(int32x4_t (&)[kSums][batch][quarters]) {}
};

template <>
struct Products<Codes2, 1> {
  static constexpr std::size_t kInputs = 16;
  static constexpr std::size_t kBytes = kTileBytes;
  static constexpr std::size_t kSums = 3;  // of products, of 4 and of 16 times as much
  template <std::size_t quarters>
  static inline void add(const std::uint8_t* tile, const std::int8_t* a, std::size_t,
                         int32x4_t (&sums)[kSums][1][quarters]) {
    const int8x16_t inputs = vld1q_s8(a);
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      int32x4_t& one = sums[0][0][q];
      int32x4_t& four = sums[1][0][q];
      int32x4_t& sixteen = sums[2][0][q];
      const uint8x16_t all = vld1q_u8(tile + 16 * q);
      dot_in_place<0>(one, masked<0x03>(all), inputs);
      dot_in_place<1>(four, masked<0x0c>(all), inputs);
      dot_in_place<2>(sixteen, masked<0x30>(all), inputs);
      dot_in_place<3>(one, vshrq_n_u8(all, 6), inputs);
    }
  }
  template <std::size_t quarters>
  static inline void join(int32x4_t (&sums)[kSums][1][quarters]) {
    join_three<4>(sums);
  }
};

// Four rows' zero points as int32.
inline int32x4_t widen_zeros(const std::uint8_t* zeros) {
  std::uint32_t four;
  __builtin_memcpy(&four, zeros, 4);
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

// `quarters` times 4 rows of a block, from row 4 * first on, for `batch` rows of activations.
template <typename Codes, std::size_t group, bool zero_points, std::size_t quarters,
          std::size_t batch>
[[gnu::noinline]] void quarter_outputs(const LinearArgs& p, std::size_t block, std::size_t first) {
  using Product = Products<Codes, batch>;
  const std::size_t groups = p.cols / group;
  const std::size_t block_bytes = p.cols / Codes::kUnitInputs * Codes::kUnitBytes;
  const std::uint8_t* codes = p.codes + block * block_bytes + first * 16;
  const std::size_t first_scale = block * groups * kTileRows + first * 4;
  const std::int8_t* a = p.a.codes;
  const float* a_scales = p.a.scales;
  const std::int32_t* a_sums = p.a.sums;

  float32x4_t total[batch][quarters];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) total[i][q] = vdupq_n_f32(0.0f);
  }
  for (std::size_t g = 0; g < groups; ++g) {
    int32x4_t sums[Product::kSums][batch][quarters];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < batch; ++i) {
      std::int32_t a_sum = 0;
      for (std::size_t s = 0; s < group / kActivationSum; ++s) {
        a_sum += a_sums[i * (p.a.stride / kActivationSum) + g * (group / kActivationSum) + s];
      }
#pragma GCC unroll 4
      for (std::size_t q = 0; q < quarters; ++q) {
        if constexpr (zero_points) {
          const int32x4_t zero = widen_zeros(p.zeros + first_scale + g * kTileRows + 4 * q);
          sums[0][i][q] = vmlaq_s32(vdupq_n_s32(kSumOriginBits), zero, vdupq_n_s32(-a_sum));
        } else {
          sums[0][i][q] = vdupq_n_s32(kSumOriginBits - (1 << (Codes::kBits - 1)) * a_sum);
        }
#pragma GCC unroll 4
        for (std::size_t n = 1; n < Product::kSums; ++n) sums[n][i][q] = zero_sum(4 * n + q);
      }
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < group; k += Product::kInputs) {
      keep_order(sums[0]);
      const std::uint8_t* tiles = codes + k / Product::kInputs * Product::kBytes;
      for (std::size_t line = 0; line < Product::kBytes; line += kTileBytes) {
        __builtin_prefetch(tiles + kAhead + line);
      }
      Product::add(tiles, a + k, p.a.stride, sums);
    }
    Product::join(sums);
    codes += group / Product::kInputs * Product::kBytes;
    a += group;
    const std::uint16_t* scales = p.scales + first_scale + g * kTileRows;
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const float32x4_t scale = widen_f16(scales + 4 * q);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < batch; ++i) {
        const float a_scale =
            a_scales[i * (p.a.stride / kActivationGroup) + g * group / kActivationGroup];
        total[i][q] = add_group(total[i][q], sums[0][i][q], vmulq_n_f32(scale, a_scale));
      }
    }
  }
  float* y = p.y + block * kTileRows + first * 4;
  const std::size_t rows = p.rows - block * kTileRows;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < batch; ++i) {
#pragma GCC unroll 4
    for (std::size_t q = 0; q < quarters; ++q) {
      const std::size_t before = (first + q) * 4;
      store_outputs(y + i * p.y_stride + 4 * q, total[i][q], rows > before ? rows - before : 0);
    }
  }
}

// Sums and totals of three or four rows of activations fit for half a block.
template <typename Codes, std::size_t group, bool zero_points>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    switch (p.batch) {
      case 1:
        quarter_outputs<Codes, group, zero_points, 4, 1>(p, block, 0);
        break;
      case 2:
        quarter_outputs<Codes, group, zero_points, 4, 2>(p, block, 0);
        break;
      case 3:
        quarter_outputs<Codes, group, zero_points, 2, 3>(p, block, 0);
        quarter_outputs<Codes, group, zero_points, 2, 3>(p, block, 2);
        break;
      case 4:
        quarter_outputs<Codes, group, zero_points, 2, 4>(p, block, 0);
        quarter_outputs<Codes, group, zero_points, 2, 4>(p, block, 2);
        break;
      default:
        break;
    }
  }
}

}  // namespace
}  // namespace pocketr1::neon_dotprod
