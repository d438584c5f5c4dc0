// 3-bit weights against int8 activations: gemv.h for few rows of activations, gemm.h for more.
#include "kernels/neon_dotprod/gemm.h"
#include "kernels/neon_dotprod/gemv.h"
#include "kernels/neon_dotprod/kernels.h"

namespace pocketr1::neon_dotprod {

void gemv_w3g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 32, false>(p, begin, end);
}
void gemm_w3g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, UnsignedWeights<Codes3, 32, false>>(p, begin, end);
}
void gemv_w3g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 64, false>(p, begin, end);
}
void gemm_w3g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, UnsignedWeights<Codes3, 64, false>>(p, begin, end);
}
void gemv_w3g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 128, false>(p, begin, end);
}
void gemm_w3g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, UnsignedWeights<Codes3, 128, false>>(p, begin, end);
}
void gemv_w3g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 32, true>(p, begin, end);
}
void gemm_w3g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<32, UnsignedWeights<Codes3, 32, true>>(p, begin, end);
}
void gemv_w3g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 64, true>(p, begin, end);
}
void gemm_w3g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<64, UnsignedWeights<Codes3, 64, true>>(p, begin, end);
}
void gemv_w3g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemv<Codes3, 128, true>(p, begin, end);
}
void gemm_w3g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  gemm<128, UnsignedWeights<Codes3, 128, true>>(p, begin, end);
}

}  // namespace pocketr1::neon_dotprod
