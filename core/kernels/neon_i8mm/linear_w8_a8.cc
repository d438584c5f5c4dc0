// 8-bit weights against int8 activations: where a panel is unpacked, a 32-bit zip of two tiles
// brings 8 inputs of each row together. Up to four rows of activations are left to the dot product,
// which reads tiles as they are.
#include "kernels/neon_i8mm/gemm.h"
#include "kernels/neon_i8mm/kernels.h"

namespace pocketr1::neon_i8mm {
namespace {

void fill_codes(const LinearArgs& p, std::size_t block, std::size_t first, std::size_t inputs,
                WeightPanel& panel) {
  const std::int8_t* tile = reinterpret_cast<const std::int8_t*>(p.codes) +
                            (block * (p.cols / 4) + first / 4) * kTileBytes;
  const std::size_t next_block = p.cols / 4 * kTileBytes;  // unpacked next
  for (std::size_t step = 0; step < inputs / kStep; ++step) {
    __builtin_prefetch(tile + next_block);
    __builtin_prefetch(tile + next_block + kTileBytes);
    for (std::size_t q = 0; q < 4; ++q) {
      store_codes(panel, step, q, vld1q_s8(tile + 16 * q), vld1q_s8(tile + 16 * q + kTileBytes));
    }
    tile += 2 * kTileBytes;
  }
}

}  // namespace

void gemm_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, fill_codes>(p, begin, end);
}
void gemm_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, fill_codes>(p, begin, end);
}
void gemm_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, fill_codes>(p, begin, end);
}

}  // namespace pocketr1::neon_i8mm
