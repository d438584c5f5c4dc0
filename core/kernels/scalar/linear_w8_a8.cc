// 8-bit weights against int8 activations, one product at a time: the reference.
#include "kernels/scalar/f32x16.h"
#include "kernels/scalar/kernels.h"

namespace pocketr1::scalar {
namespace {

template <std::size_t group>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  const std::size_t groups = p.cols / group;
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::int8_t* codes =
        reinterpret_cast<const std::int8_t*>(p.codes) + block * (p.cols / 4) * kTileBytes;
    for (std::size_t b = 0; b < p.batch; ++b) {
      const std::int8_t* a = p.a.codes + b * p.a.stride;
      const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
      for (std::size_t r = 0; r < kTileRows && block * kTileRows + r < p.rows; ++r) {
        float total = 0.0f;
        for (std::size_t g = 0; g < groups; ++g) {
          std::int32_t sum = 0;
          for (std::size_t k = g * group; k < (g + 1) * group; ++k) {
            sum += codes[k / 4 * kTileBytes + r * 4 + k % 4] * a[k];
          }
          const float scale = half_to_float(p.scales[(block * groups + g) * kTileRows + r]) *
                              a_scales[g * group / kActivationGroup];
          total = __builtin_fmaf(static_cast<float>(sum), scale, total);
        }
        p.y[b * p.y_stride + block * kTileRows + r] = total;
      }
    }
  }
}

}  // namespace

void linear_w8g32_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<32>(p, begin, end);
}
void linear_w8g64_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<64>(p, begin, end);
}
void linear_w8g128_a8(const LinearArgs& p, std::size_t begin, std::size_t end) {
  linear<128>(p, begin, end);
}

}  // namespace pocketr1::scalar
