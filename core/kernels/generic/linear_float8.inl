// Linear layers with f8e4m3 weights; included like float_kernels.inl. Products of a group's codes
// and inputs add up in 16 lanes, its sums, times the scale, in 16 more, ascending.

namespace {

// load_e4m3 gives values times 2^-8.
constexpr float kFloat8Factor = 256.0f;

template <std::size_t rows, std::size_t batch>
void dot_products_float8(const LinearArgs& p, std::size_t row, std::size_t b) {
  const std::size_t groups = (p.cols + kFloat8Group - 1) / kFloat8Group;
  const std::uint8_t* codes = p.codes + row * groups * kFloat8Group;
  const float* scales = p.row_scales + row * groups;
  const float* x = p.x + b * p.x_stride;
  F32x16 total[rows][batch];
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < batch; ++i) total[r][i] = zero();
  }
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t begin = group * kFloat8Group;
    const std::size_t end = begin + kFloat8Group < p.cols ? begin + kFloat8Group : p.cols;
    F32x16 sum[rows][batch];
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < batch; ++i) sum[r][i] = zero();
      __builtin_prefetch(codes + (rows + r) * groups * kFloat8Group + begin, 0, 3);
      __builtin_prefetch(codes + (rows + r) * groups * kFloat8Group + begin + 64, 0, 3);
    }
    std::size_t k = begin;
    for (; k + 16 <= end; k += 16) {
      F32x16 inputs[batch];
      for (std::size_t i = 0; i < batch; ++i) inputs[i] = load(x + i * p.x_stride + k);
      for (std::size_t r = 0; r < rows; ++r) {
        const F32x16 w = load_e4m3(codes + r * groups * kFloat8Group + k);
        for (std::size_t i = 0; i < batch; ++i) sum[r][i] = fma(w, inputs[i], sum[r][i]);
      }
    }
    if (k < end) {
      for (std::size_t r = 0; r < rows; ++r) {
        const F32x16 w = load_e4m3(codes + r * groups * kFloat8Group + k);
        for (std::size_t i = 0; i < batch; ++i) {
          sum[r][i] = fma(w, load_first(x + i * p.x_stride + k, end - k), sum[r][i]);
        }
      }
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const F32x16 scale = broadcast(scales[r * groups + group] * kFloat8Factor);
      for (std::size_t i = 0; i < batch; ++i) total[r][i] = fma(sum[r][i], scale, total[r][i]);
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < batch; ++i) {
      p.y[(b + i) * p.y_stride + row + r] = reduce_add(total[r][i]);
    }
  }
}

template <std::size_t batch>
void all_rows_float8(const LinearArgs& p, std::size_t row, std::size_t end, std::size_t b) {
  for (; row + kRowsAtOnce <= end; row += kRowsAtOnce) {
    dot_products_float8<kRowsAtOnce, batch>(p, row, b);
  }
  for (; row < end; ++row) dot_products_float8<1, batch>(p, row, b);
}

}  // namespace

void linear_f8e4m3(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::size_t row = block * kTileRows;
    const std::size_t end = row + kTileRows < p.rows ? row + kTileRows : p.rows;
    std::size_t b = 0;
    for (; b + kBatchAtOnce <= p.batch; b += kBatchAtOnce) {
      all_rows_float8<kBatchAtOnce>(p, row, end, b);
    }
    for (; b < p.batch; ++b) all_rows_float8<1>(p, row, end, b);
  }
}
