// Attention over K/V pages and the writing of pages; included like float_kernels.inl, behind it.
//
// One call takes the heads that share a K/V head over a range of tokens, in blocks of 64: scores,
// then a running maximum and sum (Milakov and Gimelshein, Online normalizer calculation for
// softmax, 2018), then the weighted values. A row's result depends on its own tokens alone.

namespace {

constexpr std::size_t kHeadsAtOnce = 8;

template <KvFormat format>
struct Block;  // loads 16 channels of a token as floats

template <>
struct Block<KvFormat::f32> {
  const float* data;
  std::size_t dim;
  Block(const std::uint8_t* bytes, std::size_t padded_dim)
      : data(reinterpret_cast<const float*>(bytes)), dim(padded_dim) {}
  F32x16 load16(std::size_t token, std::size_t channel) const {
    return load(data + token * dim + channel);
  }
};

template <>
struct Block<KvFormat::f16> {
  const std::uint16_t* data;
  std::size_t dim;
  Block(const std::uint8_t* bytes, std::size_t padded_dim)
      : data(reinterpret_cast<const std::uint16_t*>(bytes)), dim(padded_dim) {}
  F32x16 load16(std::size_t token, std::size_t channel) const {
    return load_f16(data + token * dim + channel);
  }
};

template <>
struct Block<KvFormat::int8> {
  const std::int8_t* data;
  const std::uint16_t* scales;
  std::size_t dim;
  Block(const std::uint8_t* bytes, std::size_t padded_dim)
      : data(reinterpret_cast<const std::int8_t*>(bytes)),
        scales(reinterpret_cast<const std::uint16_t*>(bytes + kPageTokens * padded_dim)),
        dim(padded_dim) {}
  F32x16 load16(std::size_t token, std::size_t channel) const {
    const std::uint16_t scale = scales[token * (dim / kKvGroup) + channel / kKvGroup];
    return mul(load_i8(data + token * dim + channel), broadcast(half_to_float(scale)));
  }
};

template <KvFormat format, std::size_t heads>
void attend(const AttentionArgs& p, std::size_t first_head) {
  const std::size_t dim = padded_head_dim(p.head_dim);
  const float* q = p.q + first_head * dim;
  float* out = p.out + first_head * dim;
  float running_max[heads];
  float running_sum[heads];
  for (std::size_t h = 0; h < heads; ++h) {
    running_max[h] = -3.0e38f;
    running_sum[h] = 0.0f;
  }
  for (std::size_t i = 0; i < heads * dim; i += 16) store(out + i, zero());

  alignas(64) float weights[heads][kPageTokens];
  for (std::size_t begin = p.begin; begin < p.end; begin += kPageTokens) {
    const std::size_t tokens = p.end - begin < kPageTokens ? p.end - begin : kPageTokens;
    const std::uint8_t* page = p.pages[begin / kPageTokens];
    const Block<format> keys(page + p.k_offset, dim);
    const Block<format> values(page + p.v_offset, dim);

    for (std::size_t t = 0; t < tokens; ++t) {
      F32x16 score[heads];
      for (std::size_t h = 0; h < heads; ++h) score[h] = zero();
      for (std::size_t c = 0; c < dim; c += 16) {
        const F32x16 k = keys.load16(t, c);
        for (std::size_t h = 0; h < heads; ++h) score[h] = fma(load(q + h * dim + c), k, score[h]);
      }
      for (std::size_t h = 0; h < heads; ++h) weights[h][t] = reduce_add(score[h]) * p.scale;
    }

    float decay[heads];
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t t = tokens; t < kPageTokens; ++t) weights[h][t] = -3.0e38f;
      F32x16 largest = broadcast(running_max[h]);
      for (std::size_t t = 0; t < kPageTokens; t += 16) largest = max(largest, load(weights[h] + t));
      const float block_max = reduce_max(largest);
      decay[h] = exp_one(running_max[h] - block_max);
      running_max[h] = block_max;
      for (std::size_t t = 0; t < kPageTokens; t += 16) {
        store(weights[h] + t, exp(sub(load(weights[h] + t), broadcast(block_max))));
      }
      for (std::size_t t = tokens; t < kPageTokens; ++t) weights[h][t] = 0.0f;
      F32x16 total = zero();
      for (std::size_t t = 0; t < kPageTokens; t += 16) total = add(total, load(weights[h] + t));
      running_sum[h] = running_sum[h] * decay[h] + reduce_add(total);
    }

    for (std::size_t c = 0; c < dim; c += 16) {
      F32x16 sum[heads];
      for (std::size_t h = 0; h < heads; ++h) {
        sum[h] = mul(load(out + h * dim + c), broadcast(decay[h]));
      }
      for (std::size_t t = 0; t < tokens; ++t) {
        const F32x16 v = values.load16(t, c);
        for (std::size_t h = 0; h < heads; ++h) sum[h] = fma(broadcast(weights[h][t]), v, sum[h]);
      }
      for (std::size_t h = 0; h < heads; ++h) store(out + h * dim + c, sum[h]);
    }
  }
  for (std::size_t h = 0; h < heads; ++h) {
    p.max[first_head + h] = running_max[h];
    p.sum[first_head + h] = running_sum[h];
  }
}

template <KvFormat format>
void attention(const AttentionArgs& p) {
  std::size_t head = 0;
  for (; head + kHeadsAtOnce <= p.heads; head += kHeadsAtOnce) attend<format, kHeadsAtOnce>(p, head);
  switch (p.heads - head) {
    case 7: attend<format, 7>(p, head); break;
    case 6: attend<format, 6>(p, head); break;
    case 5: attend<format, 5>(p, head); break;
    case 4: attend<format, 4>(p, head); break;
    case 3: attend<format, 3>(p, head); break;
    case 2: attend<format, 2>(p, head); break;
    case 1: attend<format, 1>(p, head); break;
    default: break;
  }
}

void store_kv_f32(const float* x, std::size_t head_dim, std::size_t token, std::uint8_t* block) {
  const std::size_t dim = padded_head_dim(head_dim);
  float* row = reinterpret_cast<float*>(block) + token * dim;
  for (std::size_t c = 0; c < dim; c += 16) {
    store(row + c, load_first(x + c, head_dim > c ? head_dim - c : 0));
  }
}

void store_kv_f16(const float* x, std::size_t head_dim, std::size_t token, std::uint8_t* block) {
  const std::size_t dim = padded_head_dim(head_dim);
  std::uint16_t* row = reinterpret_cast<std::uint16_t*>(block) + token * dim;
  for (std::size_t c = 0; c < dim; c += 16) {
    const F32x16 v = load_first(x + c, head_dim > c ? head_dim - c : 0);
    store_f16(row + c, max(min(v, broadcast(65504.0f)), broadcast(-65504.0f)));
  }
}

void store_kv_int8(const float* x, std::size_t head_dim, std::size_t token, std::uint8_t* block) {
  const std::size_t dim = padded_head_dim(head_dim);
  std::int8_t* row = reinterpret_cast<std::int8_t*>(block) + token * dim;
  std::uint16_t* scales =
      reinterpret_cast<std::uint16_t*>(block + kPageTokens * dim) + token * (dim / kKvGroup);
  for (std::size_t c = 0; c < dim; c += kKvGroup) {
    const F32x16 low = load_first(x + c, head_dim > c ? head_dim - c : 0);
    const F32x16 high = load_first(x + c + 16, head_dim > c + 16 ? head_dim - c - 16 : 0);
    const float amax = reduce_max(max(abs(low), abs(high)));
    const float wanted = amax / 127.0f;
    std::uint16_t half[16];
    store_f16(half, broadcast(wanted < 65504.0f ? wanted : 65504.0f));
    scales[c / kKvGroup] = half[0];
    // Codes are rounded against the scale as stored, so that its own rounding costs nothing.
    const float scale = half_to_float(half[0]);
    const F32x16 inverse = broadcast(scale > 0.0f ? 1.0f / scale : 0.0f);
    const F32x16 top = broadcast(127.0f);
    const F32x16 bottom = broadcast(-127.0f);
    store_i8(row + c, round(max(min(mul(low, inverse), top), bottom)));
    store_i8(row + c + 16, round(max(min(mul(high, inverse), top), bottom)));
  }
}

}  // namespace
