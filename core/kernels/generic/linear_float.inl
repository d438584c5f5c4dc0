// Linear layers with row-major f32, f16 or bf16 weights; included like float_kernels.inl.
// kRowsAtOnce x kBatchAtOnce dot products share their loads; the including file sets both to what
// its registers hold.

namespace {

struct F32Row {
  const float* data;
  F32Row(const std::uint8_t* bytes, std::size_t row, std::size_t cols)
      : data(reinterpret_cast<const float*>(bytes) + row * cols) {}
  F32x16 load16(std::size_t k) const { return load(data + k); }
  F32x16 load_tail(std::size_t k, std::size_t n) const { return load_first(data + k, n); }
  void ask(std::size_t k) const { __builtin_prefetch(data + k, 0, 3); }
};

template <F32x16 (*widen)(const std::uint16_t*)>
struct HalfRow {
  const std::uint16_t* data;
  HalfRow(const std::uint8_t* bytes, std::size_t row, std::size_t cols)
      : data(reinterpret_cast<const std::uint16_t*>(bytes) + row * cols) {}
  F32x16 load16(std::size_t k) const { return widen(data + k); }
  F32x16 load_tail(std::size_t k, std::size_t n) const {
    std::uint16_t padded[16] = {};
    for (std::size_t i = 0; i < n; ++i) padded[i] = data[k + i];
    return widen(padded);
  }
  void ask(std::size_t k) const { __builtin_prefetch(data + k, 0, 3); }
};

// `first`: the first pass over these rows of weights asks memory for those behind them.
template <typename Row, std::size_t rows, std::size_t batch, bool first>
void dot_products(const LinearArgs& p, std::size_t row, std::size_t b) {
  const float* x = p.x + b * p.x_stride;
  F32x16 sum[rows][batch];
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < batch; ++i) sum[r][i] = zero();
  }
  std::size_t k = 0;
  for (; k + 16 <= p.cols; k += 16) {
    F32x16 inputs[batch];
    for (std::size_t i = 0; i < batch; ++i) inputs[i] = load(x + i * p.x_stride + k);
    for (std::size_t r = 0; r < rows; ++r) {
      const Row weights(p.codes, row + r, p.cols);
      if constexpr (first) weights.ask(rows * p.cols + k);
      const F32x16 w = weights.load16(k);
      for (std::size_t i = 0; i < batch; ++i) sum[r][i] = fma(w, inputs[i], sum[r][i]);
    }
  }
  if (k < p.cols) {
    for (std::size_t r = 0; r < rows; ++r) {
      const F32x16 w = Row(p.codes, row + r, p.cols).load_tail(k, p.cols - k);
      for (std::size_t i = 0; i < batch; ++i) {
        sum[r][i] = fma(w, load_first(x + i * p.x_stride + k, p.cols - k), sum[r][i]);
      }
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < batch; ++i) {
      p.y[(b + i) * p.y_stride + row + r] = reduce_add(sum[r][i]);
    }
  }
}

template <typename Row, std::size_t batch, bool first>
void all_rows(const LinearArgs& p, std::size_t row, std::size_t end, std::size_t b) {
  for (; row + kRowsAtOnce <= end; row += kRowsAtOnce) {
    dot_products<Row, kRowsAtOnce, batch, first>(p, row, b);
  }
  for (; row < end; ++row) dot_products<Row, 1, batch, first>(p, row, b);
}

template <typename Row>
void linear_float(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::size_t row = block * kTileRows;
    const std::size_t end = row + kTileRows < p.rows ? row + kTileRows : p.rows;
    std::size_t b = 0;
    if (p.batch >= kBatchAtOnce) {
      all_rows<Row, kBatchAtOnce, true>(p, row, end, b);
      b += kBatchAtOnce;
    } else if (p.batch > 0) {
      all_rows<Row, 1, true>(p, row, end, b);
      b += 1;
    }
    for (; b + kBatchAtOnce <= p.batch; b += kBatchAtOnce) {
      all_rows<Row, kBatchAtOnce, false>(p, row, end, b);
    }
    for (; b < p.batch; ++b) all_rows<Row, 1, false>(p, row, end, b);
  }
}

}  // namespace

void linear_f32(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  linear_float<F32Row>(p, block_begin, block_end);
}
void linear_f16(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  linear_float<HalfRow<load_f16>>(p, block_begin, block_end);
}
void linear_bf16(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  linear_float<HalfRow<load_bf16>>(p, block_begin, block_end);
}
