// The body of quantize_block_*; included once by a file per instruction set, inside an anonymous
// namespace, behind lanes.inl. Every lane is a row of the block, so no
// sum ever crosses lanes and the order of additions is the order of inputs, whatever kLanes is.

constexpr std::size_t kMaxGroup = 128;

struct Choice {
  F32 scale;  // as stored
  F32 low;    // smallest and largest code, less the zero point
  F32 high;
  F32 error;  // sum of squares over the group
};

// The values of a group, [input][row], and what an error at each input counts.
struct Group {
  const float* values;
  const float* importance;  // (inputs)
  std::size_t inputs;
};

// Sum over the group of importance * (w - scale * clamp(round(w / scale), low, high))^2.
inline F32 squared_error(const Group& group, const F32& scale, const F32& low, const F32& high) {
  const F32 inv = inverse(scale);
  F32 sum = splat(0.0F);
  for (std::size_t i = 0; i < group.inputs; ++i) {
    const F32 w = load(group.values + i * kRows);
    const F32 code = least(most(round_even(w * inv), low), high);
    const F32 error = w - code * scale;
    sum += error * error * splat(group.importance[i]);
  }
  return sum;
}

// Keeps the better of the two per lane; on a tie the one there first.
inline void consider(Choice& best, const Group& group, const F32& scale, const F32& low,
                     const F32& high) {
  const F32 error = squared_error(group, scale, low, high);
  const I32 better = error < best.error;
  best.scale = better ? scale : best.scale;
  best.low = better ? low : best.low;
  best.high = better ? high : best.high;
  best.error = better ? error : best.error;
}

// The scale that is best for the codes chosen: sum(w * code) / sum(code^2), both by importance.
inline void refit(Choice& best, const Group& group) {
  const F32 zero = splat(0.0F);
  const F32 inv = inverse(best.scale);
  F32 cross = zero;
  F32 square = zero;
  for (std::size_t i = 0; i < group.inputs; ++i) {
    const F32 w = load(group.values + i * kRows);
    const F32 code = least(most(round_even(w * inv), best.low), best.high);
    const F32 importance = splat(group.importance[i]);
    cross += w * code * importance;
    square += code * code * importance;
  }
  const F32 scale = square > zero ? most(cross / square, zero) : best.scale;
  consider(best, group, stored_scale(scale), best.low, best.high);
}

// Candidates beside the first: `below` smaller and `above` larger, `step` of the first apart.
// Measured on Gaussian, Laplace and Student-t weights (benchmarks/scale_search.py): more of them
// lower the squared error by less than 2 %, far more slowly than they cost.
struct Grid {
  int below;
  int above;
  float step;
};
constexpr Grid kGrid8{8, 12, 0.005F};
constexpr Grid kGrid4{16, 6, 0.025F};
constexpr Grid kGrid4z{12, 2, 0.025F};
constexpr Grid kGrid3{10, 2, 0.05F};
constexpr Grid kGrid2{14, 2, 0.05F};

inline F32 candidate(const F32& base, const Grid& grid, int j) {
  return stored_scale(base * splat(1.0F + grid.step * static_cast<float>(j)));
}

// `base`, the first candidate, is the least scale that clips nothing.
inline Choice choose_symmetric(const Group& group, const F32& base, const F32& low,
                               const F32& high, const Grid& grid) {
  Choice best{stored_scale(base), low, high, splat(0.0F)};
  best.error = squared_error(group, best.scale, low, high);
  for (int j = -grid.below; j <= grid.above; ++j) {
    if (j != 0) consider(best, group, candidate(base, grid, j), low, high);
  }
  refit(best, group);
  return best;
}

// As choose_symmetric, for codes -low_steps..high_steps and their mirror image, which a negative
// scale makes of them; `base`, `mirrored_base`: the least scales that clip nothing.
inline Choice choose_mirrored(const Group& group, const F32& base, const F32& mirrored_base,
                              const F32& low_steps, const F32& high_steps, const Grid& grid) {
  const F32 zero = splat(0.0F);
  Choice best{stored_scale(base), zero - low_steps, high_steps, zero};
  best.error = squared_error(group, best.scale, best.low, best.high);
  for (int j = -grid.below; j <= grid.above; ++j) {
    const F32 scale = candidate(base, grid, j);
    if (j != 0) consider(best, group, scale, zero - low_steps, high_steps);
    const F32 mirrored = candidate(mirrored_base, grid, j);
    consider(best, group, mirrored, zero - high_steps, low_steps);
  }
  refit(best, group);
  return best;
}

// Codes 0..top. The first candidate has its zero point where the least value rounds to code 0. Each
// further scale is tried with the zero point that centres the values, and the ones beside it.
inline Choice choose_asymmetric(const Group& group, const F32& base,
                                const F32& low_value, const F32& high_value, const F32& top,
                                const Grid& grid) {
  const F32 zero = splat(0.0F);
  const F32 middle = (high_value + low_value) * splat(0.5F);
  const F32 middle_code = top * splat(0.5F);
  Choice best{stored_scale(base), zero, zero, zero};
  const F32 first = least(round_even((zero - low_value) * inverse(best.scale)), top);
  best.low = zero - first;
  best.high = top - first;
  best.error = squared_error(group, best.scale, best.low, best.high);
  for (int j = -grid.below; j <= grid.above; ++j) {
    const F32 scale = candidate(base, grid, j);
    const F32 centre = round_even(middle_code - middle * inverse(scale));
    for (int beside = -1; beside <= 1; ++beside) {
      const F32 point = least(most(centre + splat(static_cast<float>(beside)), zero), top);
      consider(best, group, scale, zero - point, top - point);
    }
  }
  refit(best, group);
  return best;
}

inline void load_row(const QuantizeBlockJob& job, std::size_t row, std::size_t begin,
                     std::size_t inputs, std::uint32_t* bits) {
  const std::size_t at = row * job.cols + begin;
  if (job.type == SourceType::f32) {
    __builtin_memcpy(bits, static_cast<const float*>(job.rows) + at, inputs * sizeof(float));
    return;
  }
  const auto* from = static_cast<const std::uint16_t*>(job.rows) + at;
  if (job.type == SourceType::bf16) {
    for (std::size_t i = 0; i < inputs; ++i) bits[i] = static_cast<std::uint32_t>(from[i]) << 16;
  } else {
    for (std::size_t i = 0; i < inputs; ++i) bits[i] = f16_to_f32_bits(from[i]);
  }
}

// values[input][row] as f32 bits, zero where the group or the block is padded. Marks rows with a
// value that is not finite, and puts zero in its place.
inline void load_group(const QuantizeBlockJob& job, std::size_t begin, std::uint32_t* values,
                       QuantizeBlockResult& result) {
  const std::size_t left = job.cols - begin;
  const std::size_t inputs = left < job.group_size ? left : job.group_size;
  for (std::size_t i = 0; i < job.group_size * kRows; ++i) values[i] = 0;
  for (std::size_t row = 0; row < job.row_count; ++row) {
    alignas(64) std::uint32_t bits[kMaxGroup];
    load_row(job, row, begin, inputs, bits);
    std::uint32_t bad = 0;
    for (std::size_t i = 0; i < inputs; ++i) bad |= (bits[i] & 0x7f800000U) == 0x7f800000U;
    if (bad != 0) {
      result.status[row] = RowStatus::not_finite;
      continue;
    }
    for (std::size_t i = 0; i < inputs; ++i) values[i * kRows + row] = bits[i];
  }
}

// The choice for one row and group, and the sums over one row, as arrays of the block's rows.
struct RowSums {
  double sq_error[kRows];
  double sq[kRows];
  double max_abs[kRows];
};

struct GroupChoice {
  std::uint32_t scale[kRows];       // f16 bits
  std::uint32_t zero_point[kRows];  // what is added to the codes
  std::uint32_t beyond[kRows];      // not 0: even the first candidate clips, at f16's largest scale
};

inline void store_lanes(std::uint32_t* to, const U32& from) {
  __builtin_memcpy(to, &from, sizeof from);
}

// Final codes (times `sign`, zero point added) in place of the values; sums the error in double.
inline void apply(const Choice& best, const F32& sign, const F32& zero_point, std::size_t inputs,
                  float* values, std::size_t lane, RowSums& sums) {
  F64 sq_error;
  F64 sq;
  F64 max_abs;
  __builtin_memcpy(&sq_error, sums.sq_error + lane, sizeof sq_error);
  __builtin_memcpy(&sq, sums.sq + lane, sizeof sq);
  __builtin_memcpy(&max_abs, sums.max_abs + lane, sizeof max_abs);
  const F32 inv = inverse(best.scale);
  const F64 scale = __builtin_convertvector(best.scale, F64);
  for (std::size_t i = 0; i < inputs; ++i) {
    const F32 w = load(values + i * kRows);
    const F32 code = least(most(round_even(w * inv), best.low), best.high);
    const F64 exact = __builtin_convertvector(w, F64);
    const F64 error = exact - __builtin_convertvector(code, F64) * scale;
    const F64 size = error < F64{} ? F64{} - error : error;
    sq_error += error * error;
    sq += exact * exact;
    max_abs = size > max_abs ? size : max_abs;
    store(values + i * kRows, code * sign + zero_point);
  }
  __builtin_memcpy(sums.sq_error + lane, &sq_error, sizeof sq_error);
  __builtin_memcpy(sums.sq + lane, &sq, sizeof sq);
  __builtin_memcpy(sums.max_abs + lane, &max_abs, sizeof max_abs);
}

// Quantizes kLanes rows of a group, beginning at row `lane`; `values` becomes codes.
inline void quantize_lanes(const QuantizeBlockJob& job, std::size_t lane, float* values,
                           const float* importance, GroupChoice& choice, RowSums& sums) {
  const Group group{values, importance, job.group_size};
  const F32 zero = splat(0.0F);
  const F32 reach = splat(65504.0F);
  F32 low_value = zero;
  F32 high_value = zero;
  for (std::size_t i = 0; i < job.group_size; ++i) {
    low_value = least(low_value, load(values + i * kRows));
    high_value = most(high_value, load(values + i * kRows));
  }
  F32 base;  // the least scale that clips nothing
  Choice best;
  F32 zero_point;
  F32 sign = splat(1.0F);
  const F32 top = splat(static_cast<float>((1U << job.bits) - 1));      // below 8 bits
  const F32 middle = splat(static_cast<float>(1U << (job.bits - 1)));  // without zero points
  const F32 upper = top - middle;
  if (job.bits == 8) {
    base = most(high_value, zero - low_value) / splat(127.0F);
    best = choose_symmetric(group, base, splat(-127.0F), splat(127.0F), kGrid8);
    zero_point = zero;
  } else if (job.zero_points) {
    base = (high_value - low_value) / top;
    const Grid& grid = job.bits == 4 ? kGrid4z : job.bits == 3 ? kGrid3 : kGrid2;
    best = choose_asymmetric(group, base, low_value, high_value, top, grid);
    zero_point = zero - best.low;
  } else if (job.bits == 4) {
    base = most(high_value / upper, (zero - low_value) / middle);
    best = choose_symmetric(group, base, zero - middle, upper, kGrid4);
    zero_point = middle;
  } else {
    const F32 plain = most(high_value / upper, (zero - low_value) / middle);
    const F32 mirrored = most(high_value / middle, (zero - low_value) / upper);
    base = least(plain, mirrored);
    best = choose_mirrored(group, plain, mirrored, middle, upper,
                           job.bits == 3 ? kGrid3 : kGrid2);
    sign = best.high > upper && best.scale > zero ? splat(-1.0F) : sign;
    zero_point = middle;
  }
  apply(best, sign, zero_point, job.group_size, values, lane, sums);
  store_lanes(choice.scale + lane, to_f16_bits(best.scale) | ((U32)sign >> 31 << 15));
  store_lanes(choice.zero_point + lane, (U32) __builtin_convertvector(zero_point, I32));
  store_lanes(choice.beyond + lane, (U32)(base > reach));
}

// The bits of one byte of a tile, from codes of inputs that lie 4 apart.
inline std::int32_t join(const float* codes, std::size_t count, unsigned bits) {
  std::int32_t byte = 0;
  for (std::size_t i = 0; i < count; ++i) {
    byte |= static_cast<std::int32_t>(codes[4 * i * kRows]) << (i * bits);
  }
  return byte;
}

// Codes of the group into its tiles, as formats/weight_format.h has them.
inline void store_codes(const QuantizeBlockJob& job, const float* codes, std::uint8_t* tiles) {
  if (job.bits == 3) {
    for (std::size_t first = 0; first < job.group_size; first += 32) {
      for (std::size_t j = 0; j < 4; ++j) {
        for (std::size_t r = 0; r < kRows; ++r) {
          const float* code = codes + (first + j) * kRows + r;
          const std::int32_t six = join(code + 24 * kRows, 2, 3);
          for (std::size_t t = 0; t < 3; ++t) {
            tiles[4 * kRows * t + 4 * r + j] = static_cast<std::uint8_t>(
                join(code + 8 * t * kRows, 2, 3) | (six >> (2 * t) & 3) << 6);
          }
        }
      }
      tiles += 3 * 4 * kRows;
    }
    return;
  }
  const std::size_t fours = 8 / job.bits;
  for (std::size_t first = 0; first < job.group_size; first += 4 * fours) {
    for (std::size_t j = 0; j < 4; ++j) {
      for (std::size_t r = 0; r < kRows; ++r) {
        tiles[4 * r + j] =
            static_cast<std::uint8_t>(join(codes + (first + j) * kRows + r, fours, job.bits));
      }
    }
    tiles += 4 * kRows;
  }
}

void quantize_block(const QuantizeBlockJob& job, QuantizeBlockResult& result) {
  alignas(64) std::uint32_t raw[kMaxGroup * kRows];
  alignas(64) float values[kMaxGroup * kRows];
  float importance[kMaxGroup];
  GroupChoice group;
  RowSums sums{};
  for (RowStatus& status : result.status) status = RowStatus::good;
  std::uint8_t* codes = job.codes;
  std::uint8_t* scales = job.scales;
  std::uint8_t* zeros = job.zeros;
  for (std::size_t begin = 0; begin < job.cols; begin += job.group_size) {
    load_group(job, begin, raw, result);
    __builtin_memcpy(values, raw, job.group_size * kRows * sizeof(float));
    for (std::size_t i = 0; i < job.group_size; ++i) {
      const bool given = job.importance != nullptr && begin + i < job.cols;
      importance[i] = given ? job.importance[begin + i] : 1.0F;
    }
    for (std::size_t lane = 0; lane < kRows; lane += kLanes) {
      quantize_lanes(job, lane, values + lane, importance, group, sums);
    }
    store_codes(job, values, codes);
    codes += job.group_size * kRows * job.bits / 8;
    for (std::size_t r = 0; r < kRows; ++r) {
      *scales++ = static_cast<std::uint8_t>(group.scale[r]);
      *scales++ = static_cast<std::uint8_t>(group.scale[r] >> 8);
      if (job.zero_points) *zeros++ = static_cast<std::uint8_t>(group.zero_point[r]);
      if (group.beyond[r] != 0 && result.status[r] == RowStatus::good) {
        result.status[r] = RowStatus::too_large;
      }
    }
  }
  result.sum_sq_error = 0.0;
  result.sum_sq = 0.0;
  result.max_abs = 0.0;
  for (std::size_t r = 0; r < kRows; ++r) {
    result.sum_sq_error += sums.sq_error[r];
    result.sum_sq += sums.sq[r];
    if (sums.max_abs[r] > result.max_abs) result.max_abs = sums.max_abs[r];
  }
}
