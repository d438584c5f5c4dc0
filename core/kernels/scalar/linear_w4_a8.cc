// 4-bit weights against int8 activations, one product at a time: the reference.
#include "kernels/scalar/f32x16.h"
#include "kernels/scalar/kernels.h"

namespace pocketr1::scalar {

#include "kernels/scalar/linear_a8.inl"

void linear_w4g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 32, false>(p, begin, end);
}
void linear_w4g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 64, false>(p, begin, end);
}
void linear_w4g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 128, false>(p, begin, end);
}
void linear_w4g32z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 32, true>(p, begin, end);
}
void linear_w4g64z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 64, true>(p, begin, end);
}
void linear_w4g128z_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<4, 128, true>(p, begin, end);
}

}  // namespace pocketr1::scalar
