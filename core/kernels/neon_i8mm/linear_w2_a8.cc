// 2-bit weights against int8 activations: where a panel is unpacked, 32-bit zips bring 8 inputs of
// each row together. Up to four rows of activations are left to the dot product: smmla would waste
// half of what it does, or spend it on the zip.
#include "kernels/neon_i8mm/gemm.h"
#include "kernels/neon_i8mm/kernels.h"

namespace pocketr1::neon_i8mm {

void gemm_w2g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, fill_codes<neon_dotprod::Codes2, 32, false>>(p, begin, end);
}
void gemm_w2g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, fill_codes<neon_dotprod::Codes2, 64, false>>(p, begin, end);
}
void gemm_w2g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, fill_codes<neon_dotprod::Codes2, 128, false>>(p, begin, end);
}
void gemm_w2g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, fill_codes<neon_dotprod::Codes2, 32, true>>(p, begin, end);
}
void gemm_w2g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, fill_codes<neon_dotprod::Codes2, 64, true>>(p, begin, end);
}
void gemm_w2g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, fill_codes<neon_dotprod::Codes2, 128, true>>(p, begin, end);
}

}  // namespace pocketr1::neon_i8mm
