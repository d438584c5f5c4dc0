// What the tiled formats share; included by linear_w*_a8.cc. Half a tile is one register: 8 rows x
// 4 bytes. A format is a type with
//   kGroup
//   kUnitBytes                             of the codes of 32 inputs
//   multiply(codes, inputs, stride, sum)   adds the products of 32 inputs, for rows of activations
//   start(a_sum, zeros)                    what the sum begins with, so that codes come out signed
//   kStartPerBlock                         whether that differs between blocks

namespace {

// How far ahead of its use a first pass over the weights asks memory for them.
constexpr std::size_t kAhead = 4096;  // bytes
constexpr std::size_t kRowsAtOnce = 4;
// Activations that stay in the second cache beside the codes of a block.
constexpr std::size_t kPanelBytes = 128 << 10;

inline __m256i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm256_set1_epi32(four);
}

// What a sum of unsigned codes begins with: minus the zero point for each activation.
template <unsigned bits, bool zero_points>
inline __m256i start_unsigned(std::int32_t a_sum, const std::uint8_t* zeros) {
  if constexpr (!zero_points) return _mm256_set1_epi32(-(1 << (bits - 1)) * a_sum);
  const __m256i zero_point =
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(zeros)));
  return _mm256_mullo_epi32(zero_point, _mm256_set1_epi32(-a_sum));
}

// Half a tile.
inline __m256i load_half(const std::uint8_t* tile) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile));
}

// Adds the products of a register of inputs 0..3 of 8 rows and one of inputs 4..7, unsigned codes,
// to 16-bit sums, two of each row, for rows of activations. They begin with it where `begin` is.
template <std::size_t rows>
inline __attribute__((always_inline)) void add_pairs(bool begin, __m256i low, __m256i high,
                                                     const std::int8_t* inputs, std::size_t stride,
                                                     __m256i (&pairs)[rows]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < rows; ++i) {
    const std::int8_t* eight = inputs + i * stride;
    const __m256i first = _mm256_maddubs_epi16(low, broadcast4(eight));
    pairs[i] = begin ? first : _mm256_add_epi16(pairs[i], first);
    pairs[i] = _mm256_add_epi16(pairs[i], _mm256_maddubs_epi16(high, broadcast4(eight + 4)));
    // Keeps GCC from adding in another order, which takes more registers than there are.
    asm("" : "+x"(pairs[i]));
  }
}

template <std::size_t rows>
inline __attribute__((always_inline)) void widen_pairs(const __m256i (&pairs)[rows],
                                                       __m256i (&sum)[rows]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < rows; ++i) {
    sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], _mm256_set1_epi16(1)));
  }
}

// Outputs of `halves` halves of a block, 8 each, for `rows` rows of activations.
template <typename W, std::size_t halves, std::size_t rows, bool prefetch>
inline __attribute__((always_inline)) void outputs(const LinearArgs& p, std::size_t block,
                                                   std::size_t half, std::size_t b) {
  const std::size_t groups = p.cols / W::kGroup;
  const std::uint8_t* codes = p.codes + block * (p.cols / 32) * W::kUnitBytes + half * 32;
  const std::size_t first_scale = block * groups * kTileRows + half * 8;
  const std::size_t stride = p.a.stride;
  const std::int8_t* a = p.a.codes + b * stride;
  const float* a_scales = p.a.scales + b * (stride / kActivationGroup);
  const std::int32_t* a_sums = p.a.sums + b * (stride / kActivationSum);

  __m256 total[halves][rows];
#pragma GCC unroll 2
  for (std::size_t h = 0; h < halves; ++h) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < rows; ++i) total[h][i] = _mm256_setzero_ps();
  }
  for (std::size_t g = 0; g < groups; ++g) {
    __m256i sum[halves][rows];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < rows; ++i) {
      std::int32_t a_sum = 0;
#pragma GCC unroll 4
      for (std::size_t s = 0; s < W::kGroup / kActivationSum; ++s) {
        a_sum += a_sums[i * (stride / kActivationSum) + g * (W::kGroup / kActivationSum) + s];
      }
#pragma GCC unroll 2
      for (std::size_t h = 0; h < halves; ++h) {
        const std::size_t at = first_scale + h * 8 + g * kTileRows;
        sum[h][i] = W::start(a_sum, W::kStartPerBlock ? p.zeros + at : nullptr);
      }
    }
    for (std::size_t unit = 0; unit < W::kGroup / 32; ++unit) {
      if constexpr (prefetch) {
#pragma GCC unroll 8
        for (std::size_t line = 0; line < W::kUnitBytes; line += 64) {
          _mm_prefetch(reinterpret_cast<const char*>(codes + kAhead + line), _MM_HINT_T0);
        }
      }
#pragma GCC unroll 2
      for (std::size_t h = 0; h < halves; ++h) {
        W::template multiply<rows>(codes + h * 32, a + g * W::kGroup + unit * 32, stride, sum[h]);
      }
      codes += W::kUnitBytes;
    }
#pragma GCC unroll 2
    for (std::size_t h = 0; h < halves; ++h) {
      const __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(p.scales + first_scale + h * 8 + g * kTileRows)));
#pragma GCC unroll 4
      for (std::size_t i = 0; i < rows; ++i) {
        const float a_scale =
            a_scales[i * (stride / kActivationGroup) + g * W::kGroup / kActivationGroup];
        total[h][i] =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[h][i]),
                            _mm256_mul_ps(scale, _mm256_set1_ps(a_scale)), total[h][i]);
      }
    }
  }
  for (std::size_t h = 0; h < halves; ++h) {
    const std::size_t row = block * kTileRows + (half + h) * 8;
    if (row >= p.rows) return;
    const __m256i lanes = first_lanes(p.rows - row);
    for (std::size_t i = 0; i < rows; ++i) {
      _mm256_maskstore_ps(p.y + (b + i) * p.y_stride + row, lanes, total[h][i]);
    }
  }
}

// A block for at most four rows; both halves together where the registers hold their sums, so that
// enough chains are under way.
template <typename W, bool prefetch>
void few_rows(const LinearArgs& p, std::size_t block, std::size_t b, std::size_t rows) {
  switch (rows) {
    case 1:
      outputs<W, 2, 1, prefetch>(p, block, 0, b);
      break;
    case 2:
      outputs<W, 2, 2, prefetch>(p, block, 0, b);
      break;
    case 3:
      outputs<W, 1, 3, prefetch>(p, block, 0, b);
      outputs<W, 1, 3, false>(p, block, 1, b);
      break;
    case 4:
      outputs<W, 1, 4, prefetch>(p, block, 0, b);
      outputs<W, 1, 4, false>(p, block, 1, b);
      break;
    default:
      break;
  }
}

template <typename W>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    few_rows<W, true>(p, block, 0, p.batch);
  }
}

// The codes of a block stay in the nearest caches while the activations of a panel pass over them,
// and the panel stays there until all blocks have passed.
template <typename W>
void gemm(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  const std::size_t fitting = kPanelBytes / p.a.stride / kRowsAtOnce * kRowsAtOnce;
  const std::size_t panel = fitting < kRowsAtOnce ? kRowsAtOnce : fitting;
  for (std::size_t begin = 0; begin < p.batch; begin += panel) {
    const std::size_t end = p.batch - begin < panel ? p.batch : begin + panel;
    for (std::size_t block = block_begin; block < block_end; ++block) {
      for (std::size_t b = begin; b < end; b += kRowsAtOnce) {
        const std::size_t rows = end - b < kRowsAtOnce ? end - b : kRowsAtOnce;
        if (b == begin) {
          few_rows<W, true>(p, block, b, rows);
        } else {
          few_rows<W, false>(p, block, b, rows);
        }
      }
    }
  }
}

}  // namespace
