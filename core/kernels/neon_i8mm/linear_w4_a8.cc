// 4-bit weights against int8 activations: where a panel is unpacked, a 32-bit zip of a tile's low
// and high nibbles brings 8 inputs of each row together. Up to four rows of activations are left to
// the dot product: smmla would waste half of what it does, or spend it on the zip.
#include "kernels/neon_i8mm/gemm.h"
#include "kernels/neon_i8mm/kernels.h"

namespace pocketr1::neon_i8mm {
namespace {

template <std::size_t group, bool zero_points>
void fill_codes(const LinearArgs& p, std::size_t block, std::size_t first, std::size_t inputs,
                WeightPanel& panel) {
  const std::uint8_t* tile = p.codes + (block * (p.cols / 8) + first / 8) * kTileBytes;
  const std::size_t next_block = p.cols / 8 * kTileBytes;  // unpacked next
  const std::size_t first_group = block * (p.cols / group) + first / group;
  for (std::size_t k = 0; k < inputs; k += group) {
    uint8x16_t zero[4];  // of 4 rows, each four times
    for (std::size_t q = 0; q < 4; ++q) zero[q] = vdupq_n_u8(8);
    if constexpr (zero_points) {
      const uint8x16_t all = vld1q_u8(p.zeros + (first_group + k / group) * kTileRows);
      const uint8x16x2_t pairs = vzipq_u8(all, all);
      for (std::size_t q = 0; q < 4; ++q) {
        const uint16x8_t pair = vreinterpretq_u16_u8(pairs.val[q / 2]);
        const uint16x8x2_t fours = vzipq_u16(pair, pair);
        zero[q] = vreinterpretq_u8_u16(fours.val[q % 2]);
      }
    }
    for (std::size_t step = k / kStep; step < (k + group) / kStep; ++step) {
      __builtin_prefetch(tile + next_block);
      for (std::size_t q = 0; q < 4; ++q) {
        const uint8x16_t both = vld1q_u8(tile + 16 * q);
        const uint8x16_t low = vsubq_u8(vandq_u8(both, vdupq_n_u8(15)), zero[q]);
        const uint8x16_t high = vsubq_u8(vshrq_n_u8(both, 4), zero[q]);
        store_codes(panel, step, q, vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(high));
      }
      tile += kTileBytes;
    }
  }
}

}  // namespace

void gemm_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, fill_codes<32, false>>(p, begin, end);
}
void gemm_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, fill_codes<64, false>>(p, begin, end);
}
void gemm_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, fill_codes<128, false>>(p, begin, end);
}
void gemm_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, fill_codes<32, true>>(p, begin, end);
}
void gemm_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, fill_codes<64, true>>(p, begin, end);
}
void gemm_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, fill_codes<128, true>>(p, begin, end);
}

}  // namespace pocketr1::neon_i8mm
