// Float kernels, written once over F32x16 and compiled once per instruction set: included inside
// namespace pocketr1::ISA, behind that set's f32x16.h.

namespace {

inline F32x16 exp(F32x16 x) {
  // exp(x) = 2^n * exp(r), |r| <= ln(2) / 2; ln(2) in two parts so that n * ln(2) is exact enough
  // (Cody and Waite), exp(r) by the polynomial of Cephes' expf. Clamped to where 2^n is normal.
  x = min(max(x, broadcast(-87.33654f)), broadcast(88.0f));
  const F32x16 n = round(mul(x, broadcast(1.44269504f)));
  F32x16 r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  F32x16 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, broadcast(1.0f)));
  return mul(p, pow2(n));
}

inline float exp_one(float x) {
  float lanes[16];
  store(lanes, exp(broadcast(x)));
  return lanes[0];
}

}  // namespace

void rms_norm(const float* x, const float* gain, float eps, std::size_t n, float* y) {
  F32x16 squares = zero();
  for (std::size_t i = 0; i < n; i += 16) {
    const F32x16 v = load_first(x + i, n - i);
    squares = fma(v, v, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(n);
  const F32x16 factor = broadcast(1.0f / __builtin_sqrtf(mean + eps));
  for (std::size_t i = 0; i < n; i += 16) {
    const F32x16 v = mul(load_first(x + i, n - i), factor);
    store_first(y + i, mul(v, load_first(gain + i, n - i)), n - i);
  }
}

void silu_mul(const float* gate, const float* up, std::size_t n, float* y) {
  const F32x16 one = broadcast(1.0f);
  for (std::size_t i = 0; i < n; i += 16) {
    const F32x16 g = load_first(gate + i, n - i);
    const F32x16 silu = div(g, add(one, exp(sub(zero(), g))));
    store_first(y + i, mul(silu, load_first(up + i, n - i)), n - i);
  }
}

float exp_sum(const float* x, std::size_t n, float max, float factor, float* y) {
  F32x16 total = zero();
  for (std::size_t i = 0; i < n; i += 16) {
    float lanes[16];
    store(lanes, exp(mul(sub(load_first(x + i, n - i), broadcast(max)), broadcast(factor))));
    for (std::size_t j = n - i; j < 16; ++j) lanes[j] = 0.0f;
    const F32x16 e = load(lanes);
    total = add(total, e);
    store_first(y + i, e, n - i);
  }
  return reduce_add(total);
}

void quantize_a8(const float* x, std::size_t n, std::size_t stride, std::int8_t* codes,
                 float* scales, std::int32_t* sums) {
  for (std::size_t group = 0; group < stride / kActivationGroup; ++group) {
    const std::size_t first = group * kActivationGroup;
    const std::size_t left = n > first ? n - first : 0;
    const std::size_t count = left < kActivationGroup ? left : kActivationGroup;
    constexpr std::size_t vectors = kActivationGroup / 16;
    F32x16 v[vectors];
    F32x16 largest = zero();
    for (std::size_t i = 0; i < vectors; ++i) {
      v[i] = load_first(x + first + 16 * i, count > 16 * i ? count - 16 * i : 0);
      largest = max(largest, abs(v[i]));
    }
    const float amax = reduce_max(largest);
    // Below this the inverse would overflow; such a group is zero beside anything real.
    const bool empty = amax < 1e-30f;
    scales[group] = empty ? 0.0f : amax / 127.0f;
    const F32x16 inverse = broadcast(empty ? 0.0f : 127.0f / amax);
    for (std::size_t i = 0; i < vectors; ++i) {
      const F32x16 code = mul(v[i], inverse);
      v[i] = round(max(min(code, broadcast(127.0f)), broadcast(-127.0f)));
      store_i8(codes + first + 16 * i, v[i]);
    }
    // Sums of 32 codes are exact in floats.
    static_assert(kActivationSum == 32 && vectors == 8);
    float sum[4];
    reduce_add4(add(v[0], v[1]), add(v[2], v[3]), add(v[4], v[5]), add(v[6], v[7]), sum);
    for (std::size_t s = 0; s < 4; ++s) {
      sums[first / kActivationSum + s] = static_cast<std::int32_t>(sum[s]);
    }
  }
}
