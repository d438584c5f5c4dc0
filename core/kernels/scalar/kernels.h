// The kernels of this folder.
#pragma once

#include "kernels/table.h"

namespace pocketr1::scalar {

void linear_f32(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_f16(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_bf16(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_f8e4m3(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w8g32_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w8g64_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w8g128_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g32_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g64_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g128_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g32z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g64z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w4g128z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g32_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g64_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g128_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g32z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g64z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w3g128z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g32_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g64_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g128_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g32z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g64z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);
void linear_w2g128z_a8(const LinearArgs& p, std::size_t block_begin, std::size_t block_end);

extern const KernelTable table;

}  // namespace pocketr1::scalar
