// Attention over int8 pages and their writing; included behind attention.inl and the instruction
// set's i8_dot.h, which sets how many heads and vectors its registers hold.
//
// Keys and values are multiplied as the int8 they are. What they are multiplied with becomes whole
// numbers of 14 bits, as two digits of base 128: the digits' products with codes add up exactly,
// and cost an 8192nd of the largest weight where one byte would cost a 128th. A query has a scale
// per 32 channels, since the keys have; the weights of a block take the scales of its values in,
// and have one for each 32 channels.

namespace {

constexpr float kDigitBase = 128.0f;
constexpr float kLargestQuery = 8191.0f;    // both digits lie in -64..64
constexpr float kLargestWeight = 16383.0f;  // both digits lie in 0..127
constexpr std::size_t kFours = kKvGroup / kKvFour;

class Int8Products {
 public:
  Int8Products(const float* q, std::size_t heads, std::size_t dim, float scale)
      : heads_(heads), dim_(dim) {
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t g = 0; g < dim / kKvGroup; ++g) {
        quantize(q + h * dim + g * kKvGroup, scale, h, g);
      }
    }
  }

  void score(const std::uint8_t* block, std::size_t tokens, float (*weights)[kPageTokens],
             Ahead& ahead) const {
    in_parts<kHeadsOfCodes>(heads_, [&](std::size_t first, auto size) {
      std::size_t t = 0;
      for (; t + 16 * kKeyVectors <= (tokens + 15) / 16 * 16; t += 16 * kKeyVectors) {
        score_part<decltype(size)::value, kKeyVectors>(block, t, first, weights + first, ahead);
      }
      for (; t < tokens; t += 16) {
        score_part<decltype(size)::value, 1>(block, t, first, weights + first, ahead);
      }
    });
    ahead.ask(kv_block_bytes(KvFormat::int8, dim_));
  }

  void weigh(const std::uint8_t* block, std::size_t tokens, float (*weights)[kPageTokens],
             const float* decay, float* out, Ahead& ahead) const {
    // Weights in steps of their block's largest, which becomes kLargestWeight.
    float step[kHeadsAtOnce];
    for (std::size_t h = 0; h < heads_; ++h) {
      F32x16 largest = load(weights[h]);
      for (std::size_t t = 16; t < kPageTokens; t += 16) {
        largest = max(largest, load(weights[h] + t));
      }
      const float top = reduce_max(largest);
      // So far below the running maximum a block adds nothing.
      const bool none = top < 1e-30f;
      step[h] = none ? 0.0f : top / kLargestWeight;
      const F32x16 inverse = broadcast(none ? 0.0f : kLargestWeight / top);
      for (std::size_t t = 0; t < kPageTokens; t += 16) {
        store(weights[h] + t, mul(load(weights[h] + t), inverse));
      }
    }
    const std::uint16_t* scales = scales_of(block);
    for (std::size_t g = 0; g < dim_ / kKvGroup; ++g) {
      // The part of the group's largest scale that each token has. Tokens not seen may be there.
      alignas(64) float share[kPageTokens];
      F32x16 largest = zero();
      for (std::size_t t = 0; t < kPageTokens; t += 16) {
        store(share + t, load_f16(scales + g * kPageTokens + t));
        const F32x16 seen = load_first(share + t, tokens > t ? tokens - t : 0);
        store(share + t, seen);
        largest = max(largest, seen);
      }
      const float top = reduce_max(largest);
      const F32x16 inverse = broadcast(top > 0.0f ? 1.0f / top : 0.0f);
      for (std::size_t t = 0; t < kPageTokens; t += 16) {
        store(share + t, mul(load(share + t), inverse));
      }
      in_parts<kHeadsOfCodes>(heads_, [&](std::size_t first, auto size) {
        constexpr std::size_t together = decltype(size)::value;
        alignas(64) std::uint8_t digits[2][together][kPageTokens];
        for (std::size_t h = 0; h < together; ++h) {
          for (std::size_t t = 0; t < kPageTokens; t += 16) {
            store_digits(mul(load(weights[first + h] + t), load(share + t)), digits[0][h] + t,
                         digits[1][h] + t);
          }
        }
        for (std::size_t c = 0; c < kKvGroup; c += 16 * kValueVectors) {
          weigh_part<together>(block, tokens, g * kKvGroup + c, digits, step + first, top,
                               decay + first, out + first * dim_, ahead);
        }
      });
    }
    ahead.ask(kv_block_bytes(KvFormat::int8, dim_));
  }

 private:
  const std::uint16_t* scales_of(const std::uint8_t* block) const {
    return reinterpret_cast<const std::uint16_t*>(block + kPageTokens * dim_);
  }

  // Where the digits of a query's 32 channels lie: four channels of every head side by side.
  static constexpr std::size_t kFourBytes = kHeadsAtOnce * kKvFour;
  std::int8_t* digits_of(std::size_t g, std::size_t digit) {
    return digits_ + (2 * g + digit) * kFours * kFourBytes;
  }
  const std::int8_t* digits_of(std::size_t g, std::size_t digit) const {
    return digits_ + (2 * g + digit) * kFours * kFourBytes;
  }

  // 32 channels of a query: digits, what a step of them means, and what the sums begin with so that
  // codes come out signed.
  void quantize(const float* q, float scale, std::size_t h, std::size_t g) {
    const F32x16 part[2] = {load(q), load(q + 16)};
    const float amax = reduce_max(max(abs(part[0]), abs(part[1])));
    const bool empty = amax < 1e-30f;
    step_[g][h] = empty ? 0.0f : amax / kLargestQuery * scale;
    const F32x16 inverse = broadcast(empty ? 0.0f : kLargestQuery / amax);
    const F32x16 top = broadcast(kLargestQuery);
    const F32x16 bottom = broadcast(-kLargestQuery);
    F32x16 total = zero();
    std::int8_t digits[2][kKvGroup];
    for (std::size_t i = 0; i < 2; ++i) {
      const F32x16 whole = round(max(min(mul(part[i], inverse), top), bottom));
      const F32x16 high = round(mul(whole, broadcast(1.0f / kDigitBase)));
      store_i8(digits[0] + 16 * i, high);
      store_i8(digits[1] + 16 * i, fma(high, broadcast(-kDigitBase), whole));
      total = add(total, whole);
    }
    for (std::size_t digit = 0; digit < 2; ++digit) {
      for (std::size_t four = 0; four < kFours; ++four) {
        __builtin_memcpy(digits_of(g, digit) + four * kFourBytes + h * kKvFour,
                         digits[digit] + four * kKvFour, kKvFour);
      }
    }
    start_[g][h] = -kKeyOffset * static_cast<std::int32_t>(reduce_add(total));
  }

  // Scores of 16 x vectors tokens.
  template <std::size_t heads, std::size_t vectors>
  __attribute__((noinline)) void score_part(const std::uint8_t* block, std::size_t t,
                                            std::size_t first, float (*weights)[kPageTokens],
                                            Ahead& ahead) const {
    const std::int8_t* codes = reinterpret_cast<const std::int8_t*>(block);
    const std::uint16_t* scales = scales_of(block);
    for (std::size_t g = 0; g < dim_ / kKvGroup; ++g) {
      I32x16 sum[heads][vectors];
      for (std::size_t digit = 0; digit < 2; ++digit) {
        ahead.ask(64 * kFours);
#pragma GCC unroll 8
        for (std::size_t h = 0; h < heads; ++h) {
#pragma GCC unroll 8
          for (std::size_t i = 0; i < vectors; ++i) {
            sum[h][i] = digit == 0 ? whole(0) : next_digit(sum[h][i], start_[g][first + h]);
          }
        }
        const std::int8_t* digits = digits_of(g, digit) + first * kKvFour;
        const std::int8_t* at = codes + key_code_at(t, g * kKvGroup);
        asm("" : "+r"(digits), "+r"(at));  // one register each, not one for every address
#pragma GCC unroll 8
        for (std::size_t four = 0; four < kFours; ++four) {
          Bytes64 keys[vectors];
#pragma GCC unroll 8
          for (std::size_t i = 0; i < vectors; ++i) {
            keys[i] = load_keys(at + key_code_at(16 * i, four * kKvFour));
          }
#pragma GCC unroll 8
          for (std::size_t h = 0; h < heads; ++h) {
            const Bytes4 query = broadcast4(digits + four * kFourBytes + h * kKvFour);
#pragma GCC unroll 8
            for (std::size_t i = 0; i < vectors; ++i) {
              add_key_products(sum[h][i], keys[i], query);
            }
          }
        }
      }
#pragma GCC unroll 8
      for (std::size_t i = 0; i < vectors; ++i) {
        const F32x16 scale = load_f16(scales + g * kPageTokens + t + 16 * i);
#pragma GCC unroll 8
        for (std::size_t h = 0; h < heads; ++h) {
          float* to = weights[h] + t + 16 * i;
          const F32x16 before = g == 0 ? zero() : load(to);
          store(to, fma(to_float(sum[h][i]), mul(scale, broadcast(step_[g][first + h])), before));
        }
      }
    }
  }

  // Values of 16 x kValueVectors channels from c on.
  template <std::size_t heads>
  __attribute__((noinline)) void weigh_part(const std::uint8_t* block, std::size_t tokens,
                                            std::size_t c,
                                            const std::uint8_t (*digits)[heads][kPageTokens],
                                            const float* step, float scale, const float* decay,
                                            float* out, Ahead& ahead) const {
    I32x16 sum[heads][kValueVectors];
    for (std::size_t digit = 0; digit < 2; ++digit) {
      ahead.ask(kPageTokens * 16 * kValueVectors / 2);
#pragma GCC unroll 8
      for (std::size_t h = 0; h < heads; ++h) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kValueVectors; ++i) {
          sum[h][i] = digit == 0 ? whole(0) : next_digit(sum[h][i], 0);
        }
      }
      const std::int8_t* at =
          reinterpret_cast<const std::int8_t*>(block) + value_code_at(dim_, 0, c);
      const std::uint8_t* four = digits[digit][0];
      for (std::size_t t = 0; t < tokens; t += kKvFour) {
        Bytes64 values[kValueVectors];
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kValueVectors; ++i) values[i] = load_values(at + 64 * i);
#pragma GCC unroll 8
        for (std::size_t h = 0; h < heads; ++h) {
          const Bytes4 weight = broadcast4(four + h * kPageTokens);
#pragma GCC unroll 8
          for (std::size_t i = 0; i < kValueVectors; ++i) {
            add_value_products(sum[h][i], values[i], weight);
          }
        }
        at += dim_ * kKvFour;
        four += kKvFour;
      }
    }
#pragma GCC unroll 8
    for (std::size_t h = 0; h < heads; ++h) {
      const F32x16 unit = broadcast(step[h] * scale);
      const F32x16 kept = broadcast(decay[h]);
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kValueVectors; ++i) {
        float* to = out + h * dim_ + c + 16 * i;
        store(to, fma(to_float(sum[h][i]), unit, mul(load(to), kept)));
      }
    }
  }

  std::size_t heads_;
  std::size_t dim_;
  alignas(64) std::int8_t digits_[2 * kLargestHeadDim * kHeadsAtOnce];
  float step_[kLargestHeadDim / kKvGroup][kHeadsAtOnce];
  std::int32_t start_[kLargestHeadDim / kKvGroup][kHeadsAtOnce];
};

// Calls put(channel, code) for every code of a token.
template <typename Put>
void quantize_token(const float* x, std::size_t head_dim, std::size_t token, std::uint8_t* block,
                    const Put& put) {
  const std::size_t dim = padded_head_dim(head_dim);
  std::uint16_t* scales = reinterpret_cast<std::uint16_t*>(block + kPageTokens * dim);
  for (std::size_t c = 0; c < dim; c += kKvGroup) {
    const F32x16 low = load_first(x + c, head_dim > c ? head_dim - c : 0);
    const F32x16 high = load_first(x + c + 16, head_dim > c + 16 ? head_dim - c - 16 : 0);
    const float amax = reduce_max(max(abs(low), abs(high)));
    const float wanted = amax / 127.0f;
    std::uint16_t half[16];
    store_f16(half, broadcast(wanted < 65504.0f ? wanted : 65504.0f));
    scales[c / kKvGroup * kPageTokens + token] = half[0];
    // Codes are rounded against the scale as stored, so that its own rounding costs nothing.
    const float scale = half_to_float(half[0]);
    const F32x16 inverse = broadcast(scale > 0.0f ? 1.0f / scale : 0.0f);
    const F32x16 top = broadcast(127.0f);
    const F32x16 bottom = broadcast(-127.0f);
    std::int8_t codes[kKvGroup];
    store_i8(codes, round(max(min(mul(low, inverse), top), bottom)));
    store_i8(codes + 16, round(max(min(mul(high, inverse), top), bottom)));
    for (std::size_t i = 0; i < kKvGroup; ++i) put(c + i, codes[i]);
  }
}

void store_key_int8(const float* x, std::size_t head_dim, std::size_t token, std::uint8_t* block) {
  std::int8_t* codes = reinterpret_cast<std::int8_t*>(block);
  quantize_token(x, head_dim, token, block, [=](std::size_t channel, std::int8_t code) {
    codes[key_code_at(token, channel)] = code;
  });
}

void store_value_int8(const float* x, std::size_t head_dim, std::size_t token,
                      std::uint8_t* block) {
  std::int8_t* codes = reinterpret_cast<std::int8_t*>(block);
  const std::size_t dim = padded_head_dim(head_dim);
  quantize_token(x, head_dim, token, block, [=](std::size_t channel, std::int8_t code) {
    codes[value_code_at(dim, token, channel)] = code;
  });
}

}  // namespace
