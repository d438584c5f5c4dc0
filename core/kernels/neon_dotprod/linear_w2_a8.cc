// 2-bit weights against int8 activations: gemv.h for few rows of activations, gemm.h for more.
#include "kernels/neon_dotprod/gemm.h"
#include "kernels/neon_dotprod/gemv.h"
#include "kernels/neon_dotprod/kernels.h"

namespace pocketr1::neon_dotprod {

void gemv_w2g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 32, false>(p, begin, end);
}
void gemm_w2g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, UnsignedWeights<Codes2, 32, false>>(p, begin, end);
}
void gemv_w2g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 64, false>(p, begin, end);
}
void gemm_w2g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, UnsignedWeights<Codes2, 64, false>>(p, begin, end);
}
void gemv_w2g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 128, false>(p, begin, end);
}
void gemm_w2g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, UnsignedWeights<Codes2, 128, false>>(p, begin, end);
}
void gemv_w2g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 32, true>(p, begin, end);
}
void gemm_w2g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, UnsignedWeights<Codes2, 32, true>>(p, begin, end);
}
void gemv_w2g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 64, true>(p, begin, end);
}
void gemm_w2g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, UnsignedWeights<Codes2, 64, true>>(p, begin, end);
}
void gemv_w2g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes2, 128, true>(p, begin, end);
}
void gemm_w2g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, UnsignedWeights<Codes2, 128, true>>(p, begin, end);
}

}  // namespace pocketr1::neon_dotprod
