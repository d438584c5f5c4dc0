// What the tiled formats share; included by linear_w*_a8.cc. A step is 8 inputs of 16 rows, one
// register of inputs 0..3 and one of 4..7: the unsigned operand of dpbusd, against four broadcast
// activations each. dpbusd does not saturate, and every sum of a group fits in 32 bits.
//
// A format is a type with
//   kGroup
//   kUnitInputs, kUnitBytes             what its codes repeat by: one or more steps
//   load<step>(unit, first, second)     the two registers of a unit's step
//   start(a_sum, zeros)                 what the sum begins with, so that codes come out signed
//   kStartPerBlock                      whether that differs between blocks

namespace {

// How far ahead of its use a single pass over the weights asks memory for them.
constexpr std::size_t kAhead = 4096;  // bytes
constexpr std::size_t kRowsAtOnce = 6;
// Activations that stay in the second cache beside the codes of two blocks.
constexpr std::size_t kPanelBytes = 256 << 10;

inline __m512i broadcast4(const std::int8_t* a) {
  std::int32_t four;
  __builtin_memcpy(&four, a, 4);
  return _mm512_set1_epi32(four);
}

// In assembly: around the intrinsic, GCC 12 copies every sum to another register and back.
inline void dpbusd(__m512i& sum, __m512i codes, __m512i inputs) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(inputs));
}

// What a sum of unsigned codes begins with: minus the zero point for each activation.
template <unsigned bits, bool zero_points>
inline __m512i start_unsigned(std::int32_t a_sum, const std::uint8_t* zeros) {
  if constexpr (!zero_points) return _mm512_set1_epi32(-(1 << (bits - 1)) * a_sum);
  const __m512i zero_point =
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros)));
  return _mm512_mullo_epi32(zero_point, _mm512_set1_epi32(-a_sum));
}

// Two chains of sums where there are few: dpbusd takes four or five cycles.
template <std::size_t blocks, std::size_t rows>
constexpr bool kTwoChains = blocks * rows < 8;

// A unit of `blocks` blocks, from its step `step` on, for `rows` rows of activations.
template <typename W, bool prefetch, std::size_t step, std::size_t blocks, std::size_t rows>
inline __attribute__((always_inline)) void add_unit(const std::uint8_t* codes,
                                                    std::size_t block_bytes, std::size_t unit,
                                                    const std::int8_t* inputs, std::size_t stride,
                                                    __m512i (&sum)[blocks][rows],
                                                    __m512i (&other)[blocks][rows]) {
  constexpr bool two = kTwoChains<blocks, rows>;
  constexpr std::size_t steps = W::kUnitInputs / 8;
  __m512i first[blocks];
  __m512i second[blocks];
#pragma GCC unroll 16
  for (std::size_t j = 0; j < blocks; ++j) {
    const std::uint8_t* at = codes + j * block_bytes + unit * W::kUnitBytes;
    if constexpr (prefetch) {
#pragma GCC unroll 2
      for (std::size_t line = step; line < W::kUnitBytes / 64; line += steps) {
        _mm_prefetch(reinterpret_cast<const char*>(at + kAhead + line * 64), _MM_HINT_T0);
      }
    }
    W::template load<step>(at, first[j], second[j]);
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows; ++i) {
    const __m512i low = broadcast4(inputs + i * stride + unit * W::kUnitInputs + step * 8);
#pragma GCC unroll 16
    for (std::size_t j = 0; j < blocks; ++j) {
      dpbusd(sum[j][i], first[j], low);
    }
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows; ++i) {
    const __m512i high = broadcast4(inputs + i * stride + unit * W::kUnitInputs + step * 8 + 4);
#pragma GCC unroll 16
    for (std::size_t j = 0; j < blocks; ++j) {
      dpbusd(two ? other[j][i] : sum[j][i], second[j], high);
    }
  }
  if constexpr (step + 1 < steps) {
    add_unit<W, prefetch, step + 1>(codes, block_bytes, unit, inputs, stride, sum, other);
  }
}

// Outputs of `blocks` blocks of 16 rows, for `rows` rows of activations.
template <typename W, std::size_t blocks, std::size_t rows, bool prefetch>
inline __attribute__((always_inline)) void outputs(const LinearArgs& p, std::size_t block,
                                                   std::size_t b) {
  const std::size_t groups = p.cols / W::kGroup;
  const std::size_t block_bytes = p.cols / W::kUnitInputs * W::kUnitBytes;
  const std::uint8_t* codes = p.codes + block * block_bytes;
  const std::uint16_t* scales = p.scales + block * groups * kTileRows;
  const std::uint8_t* zeros = W::kStartPerBlock ? p.zeros + block * groups * kTileRows : nullptr;
  const std::size_t stride = p.a.stride;
  const std::int8_t* a = p.a.codes + b * stride;
  const float* a_scales = p.a.scales + b * (stride / kActivationGroup);
  const std::int32_t* a_sums = p.a.sums + b * (stride / kActivationSum);

  __m512 total[blocks][rows];
#pragma GCC unroll 16
  for (std::size_t j = 0; j < blocks; ++j) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) total[j][i] = _mm512_setzero_ps();
  }
  for (std::size_t g = 0; g < groups; ++g) {
    __m512i sum[blocks][rows];
    __m512i other[blocks][rows];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) {
      std::int32_t a_sum = 0;
#pragma GCC unroll 4
      for (std::size_t s = 0; s < W::kGroup / kActivationSum; ++s) {
        a_sum += a_sums[i * (stride / kActivationSum) + g * (W::kGroup / kActivationSum) + s];
      }
#pragma GCC unroll 16
      for (std::size_t j = 0; j < blocks; ++j) {
        const std::size_t zeros_at = (j * groups + g) * kTileRows;
        sum[j][i] = W::start(a_sum, W::kStartPerBlock ? zeros + zeros_at : nullptr);
        other[j][i] = _mm512_setzero_si512();
      }
    }
    const std::int8_t* inputs = a + g * W::kGroup;
    for (std::size_t unit = 0; unit < W::kGroup / W::kUnitInputs; ++unit) {
      add_unit<W, prefetch, 0>(codes, block_bytes, unit, inputs, stride, sum, other);
    }
    codes += W::kGroup / W::kUnitInputs * W::kUnitBytes;
#pragma GCC unroll 16
    for (std::size_t j = 0; j < blocks; ++j) {
      const __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(scales + (j * groups + g) * kTileRows)));
#pragma GCC unroll 16
      for (std::size_t i = 0; i < rows; ++i) {
        const float a_scale =
            a_scales[i * (stride / kActivationGroup) + g * W::kGroup / kActivationGroup];
        const __m512i whole =
            kTwoChains<blocks, rows> ? _mm512_add_epi32(sum[j][i], other[j][i]) : sum[j][i];
        total[j][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole),
                                      _mm512_mul_ps(scale, _mm512_set1_ps(a_scale)), total[j][i]);
      }
    }
  }
#pragma GCC unroll 16
  for (std::size_t j = 0; j < blocks; ++j) {
    const std::size_t row = (block + j) * kTileRows;
    const __mmask16 lanes = first_lanes(p.rows - row);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) {
      _mm512_mask_storeu_ps(p.y + (b + i) * p.y_stride + row, lanes, total[j][i]);
    }
  }
}

// One pass over the weights: their way from memory is what it waits for.
template <typename W>
void gemv(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    switch (p.batch) {
      case 1:
        outputs<W, 1, 1, true>(p, block, 0);
        break;
      case 2:
        outputs<W, 1, 2, true>(p, block, 0);
        break;
      case 3:
        outputs<W, 1, 3, true>(p, block, 0);
        break;
      case 4:
        outputs<W, 1, 4, true>(p, block, 0);
        break;
      default:
        break;
    }
  }
}

// Fewer than kRowsAtOnce rows.
template <typename W, std::size_t blocks, bool prefetch>
void few_rows(const LinearArgs& p, std::size_t block, std::size_t b, std::size_t rows) {
  switch (rows) {
    case 5:
      outputs<W, blocks, 5, prefetch>(p, block, b);
      break;
    case 4:
      outputs<W, blocks, 4, prefetch>(p, block, b);
      break;
    case 3:
      outputs<W, blocks, 3, prefetch>(p, block, b);
      break;
    case 2:
      outputs<W, blocks, 2, prefetch>(p, block, b);
      break;
    case 1:
      outputs<W, blocks, 1, prefetch>(p, block, b);
      break;
    default:
      break;
  }
}

// Rows [begin, end) of activations against one or two blocks, whose codes the first pass brings in.
template <typename W, std::size_t blocks>
void all_rows(const LinearArgs& p, std::size_t block, std::size_t begin, std::size_t end) {
  std::size_t b = begin;
  if (b + kRowsAtOnce <= end) {
    outputs<W, blocks, kRowsAtOnce, true>(p, block, b);
    b += kRowsAtOnce;
  }
  for (; b + kRowsAtOnce <= end; b += kRowsAtOnce) {
    outputs<W, blocks, kRowsAtOnce, false>(p, block, b);
  }
  if (b == begin) {
    few_rows<W, blocks, true>(p, block, b, end - b);
  } else {
    few_rows<W, blocks, false>(p, block, b, end - b);
  }
}

// Twelve sums, their totals and what they are made of fill the registers. The codes of two blocks
// stay in the nearest caches while the activations of a panel pass over them, and the panel stays
// there until all blocks have passed.
template <typename W>
void gemm(const LinearArgs& p, std::size_t block_begin, std::size_t block_end) {
  const std::size_t fitting = kPanelBytes / p.a.stride / kRowsAtOnce * kRowsAtOnce;
  const std::size_t panel = fitting < kRowsAtOnce ? kRowsAtOnce : fitting;
  for (std::size_t begin = 0; begin < p.batch; begin += panel) {
    const std::size_t end = p.batch - begin < panel ? p.batch : begin + panel;
    std::size_t block = block_begin;
    for (; block + 2 <= block_end; block += 2) all_rows<W, 2>(p, block, begin, end);
    if (block < block_end) all_rows<W, 1>(p, block, begin, end);
  }
}

}  // namespace
