// The body of feedback_block_*; included once by a file per instruction set, inside an anonymous
// namespace, behind lanes.inl. Every lane is a row; sums run over later places in ascending order.

constexpr std::size_t kPlaces = 8;  // whose sums are kept in registers together

// Rounds places [begin, begin + kCount) of kLanes rows; all later places are rounded already.
template <std::size_t kCount>
inline void round_places(const FeedbackBlockJob& job, std::size_t begin, std::size_t lane) {
  const float* factor = job.factor + begin * job.cols;
  F32 wanted[kCount];
  for (std::size_t t = 0; t < kCount; ++t) wanted[t] = splat(0.0F);
  for (std::size_t k = begin + kCount; k < job.cols; ++k) {
    const F32 error = load(job.errors + k * kRows + lane);
    for (std::size_t t = 0; t < kCount; ++t) wanted[t] += error * splat(factor[t * job.cols + k]);
  }
  for (std::size_t t = kCount; t-- > 0;) {
    const std::size_t place = begin + t;
    for (std::size_t later = t + 1; later < kCount; ++later) {
      const F32 error = load(job.errors + (begin + later) * kRows + lane);
      wanted[t] += error * splat(factor[t * job.cols + begin + later]);
    }
    const F32 weight = load(job.weights + place * kRows + lane);
    const F32 scale = load(job.scales + job.group_of[place] * kRows + lane);
    const F32 centre = load(job.centres + job.group_of[place] * kRows + lane);
    const F32 zero = splat(0.0F);
    const F32 inv = scale == zero ? zero : splat(1.0F) / scale;  // scales may be negative
    const F32 steps = (weight + wanted[t]) * inv + centre;
    const F32 low = splat(job.low);
    const F32 high = splat(job.high);
    // Clamped first: far beyond the range, rounding would not be exact.
    const F32 code = round_even(least(most(steps, low), high));
    store(job.errors + place * kRows + lane, weight - (code - centre) * scale);
    const I32 integer = __builtin_convertvector(code, I32);
    for (std::size_t i = 0; i < kLanes; ++i) {
      job.codes[place * kRows + lane + i] = static_cast<std::uint8_t>(integer[i]);
    }
  }
}

void feedback_block(const FeedbackBlockJob& job) {
  for (std::size_t lane = 0; lane < kRows; lane += kLanes) {
    std::size_t end = job.cols;
    for (; end >= kPlaces; end -= kPlaces) round_places<kPlaces>(job, end - kPlaces, lane);
    for (; end > 0; --end) round_places<1>(job, end - 1, lane);
  }
}
