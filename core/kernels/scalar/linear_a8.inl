// What the formats with unsigned codes share: one product at a time, the reference. Included by
// linear_w4_a8.cc, linear_w3_a8.cc and linear_w2_a8.cc.

namespace {

// Inputs that codes repeat by: of a tile, or in 3 bits of three.
template <unsigned bits>
constexpr std::size_t kUnitInputs = bits == 3 ? 32 : 32 / bits;

// A row's codes of a unit times as many activations; `unit`: the row's first byte.
template <unsigned bits>
inline std::int32_t multiply_unit(const std::uint8_t* unit, const std::int8_t* a) {
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < 4; ++j) {
    if constexpr (bits == 3) {
      unsigned rests = 0;
      for (std::size_t t = 0; t < 3; ++t) {
        const unsigned byte = unit[t * kTileBytes + j];
        sum += static_cast<int>(byte & 7U) * a[8 * t + j];
        sum += static_cast<int>(byte >> 3 & 7U) * a[8 * t + 4 + j];
        rests |= byte >> 6 << (2 * t);
      }
      sum += static_cast<int>(rests & 7U) * a[24 + j];
      sum += static_cast<int>(rests >> 3) * a[28 + j];
    } else {
      for (std::size_t i = 0; i < 8 / bits; ++i) {
        sum += (unit[j] >> (i * bits) & ((1 << bits) - 1)) * a[4 * i + j];
      }
    }
  }
  return sum;
}

template <unsigned bits, std::size_t group, bool zero_points>
void linear(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  const std::size_t groups = p.cols / group;
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::uint8_t* codes = p.codes + block * (p.cols * kTileRows * bits / 8);
    for (std::size_t b = 0; b < p.batch; ++b) {
      const std::int8_t* a = p.a.codes + b * p.a.stride;
      const float* a_scales = p.a.scales + b * (p.a.stride / kActivationGroup);
      const std::int32_t* a_sums = p.a.sums + b * (p.a.stride / kActivationSum);
      for (std::size_t r = 0; r < kTileRows && block * kTileRows + r < p.rows; ++r) {
        float total = 0.0f;
        for (std::size_t g = 0; g < groups; ++g) {
          std::int32_t sum = 0;
          for (std::size_t k = g * group; k < (g + 1) * group; k += kUnitInputs<bits>) {
            sum += multiply_unit<bits>(codes + k * kTileRows * bits / 8 + 4 * r, a + k);
          }
          const std::size_t scale_at = (block * groups + g) * kTileRows + r;
          std::int32_t a_sum = 0;
          for (std::size_t s = 0; s < group / kActivationSum; ++s) {
            a_sum += a_sums[g * (group / kActivationSum) + s];
          }
          sum -= (zero_points ? p.zeros[scale_at] : 1 << (bits - 1)) * a_sum;
          const float scale =
              half_to_float(p.scales[scale_at]) * a_scales[g * group / kActivationGroup];
          total = __builtin_fmaf(static_cast<float>(sum), scale, total);
        }
        p.y[b * p.y_stride + block * kTileRows + r] = total;
      }
    }
  }
}

}  // namespace
