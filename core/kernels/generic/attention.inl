// Attention over K/V pages and the writing of pages whose elements are floats; included like
// float_kernels.inl, behind it. attention_int8.inl has the products for int8 pages.
//
// One call takes the heads that share a K/V head over a range of tokens, in blocks of 64: scores,
// then a running maximum and sum (Milakov and Gimelshein, Online normalizer calculation for
// softmax, 2018), then the weighted values. A row's result depends on its own tokens alone.
// The including file sets kHeadsTogether (at most 6) and kTokensTogether, whose product is the
// number of sums that its registers hold beside what they are made of.

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

// What will be read next, asked for a few cache lines at a time while something else is computed: a
// long context comes from memory.
struct Ahead {
  const std::uint8_t* at;
  const std::uint8_t* end;
  void ask(std::size_t bytes) {
    const std::uint8_t* stop = static_cast<std::size_t>(end - at) > bytes ? at + bytes : end;
    for (; at < stop; at += 64) __builtin_prefetch(at, 0, 3);
  }
};

// The products of `heads` heads with `tokens` keys, reduced and scaled: weights[h][t]. They share
// their loads, and the sums stay in registers.
template <KvFormat format, std::size_t heads, std::size_t tokens>
void scores(const Block<format>& keys, std::size_t dim, const float* q, float scale, std::size_t t,
            float (*weights)[kPageTokens]) {
  F32x16 sum[heads * tokens];
  for (F32x16& each : sum) each = zero();
  for (std::size_t c = 0; c < dim; c += 16) {
    F32x16 k[tokens];
    for (std::size_t i = 0; i < tokens; ++i) k[i] = keys.load16(t + i, c);
    for (std::size_t h = 0; h < heads; ++h) {
      const F32x16 query = load(q + h * dim + c);
      for (std::size_t i = 0; i < tokens; ++i) {
        sum[h * tokens + i] = fma(query, k[i], sum[h * tokens + i]);
      }
    }
  }
  float reduced[(heads * tokens + 3) / 4 * 4];
  for (std::size_t i = 0; i + 4 <= heads * tokens; i += 4) {
    reduce_add4(sum[i], sum[i + 1], sum[i + 2], sum[i + 3], reduced + i);
  }
  for (std::size_t i = heads * tokens / 4 * 4; i < heads * tokens; ++i) {
    reduced[i] = reduce_add(sum[i]);
  }
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t i = 0; i < tokens; ++i) weights[h][t + i] = reduced[h * tokens + i] * scale;
  }
}

// out[h] = out[h] * decay[h] + the weighted values, for `chunks` x 16 channels from c on.
template <KvFormat format, std::size_t heads, std::size_t chunks>
void weigh(const Block<format>& values, std::size_t dim, std::size_t tokens,
           const float (*weights)[kPageTokens], const float* decay, std::size_t c, float* out,
           Ahead& ahead) {
  F32x16 sum[heads][chunks];
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t i = 0; i < chunks; ++i) {
      sum[h][i] = mul(load(out + h * dim + c + 16 * i), broadcast(decay[h]));
    }
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    ahead.ask(64 * chunks);
    F32x16 v[chunks];
    for (std::size_t i = 0; i < chunks; ++i) v[i] = values.load16(t, c + 16 * i);
    for (std::size_t h = 0; h < heads; ++h) {
      const F32x16 weight = broadcast(weights[h][t]);
      for (std::size_t i = 0; i < chunks; ++i) sum[h][i] = fma(weight, v[i], sum[h][i]);
    }
  }
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t i = 0; i < chunks; ++i) store(out + h * dim + c + 16 * i, sum[h][i]);
  }
}

template <KvFormat format, std::size_t heads>
void all_scores(const Block<format>& keys, std::size_t dim, const float* q, float scale,
                std::size_t tokens, float (*weights)[kPageTokens], Ahead& ahead) {
  const std::size_t bytes = kTokensTogether * (kv_block_bytes(format, dim) / kPageTokens);
  std::size_t t = 0;
  for (; t + kTokensTogether <= tokens; t += kTokensTogether) {
    ahead.ask(bytes);
    scores<format, heads, kTokensTogether>(keys, dim, q, scale, t, weights);
  }
  for (; t < tokens; ++t) scores<format, heads, 1>(keys, dim, q, scale, t, weights);
}

template <KvFormat format, std::size_t heads>
void weigh_all(const Block<format>& values, std::size_t dim, std::size_t tokens,
               const float (*weights)[kPageTokens], const float* decay, float* out, Ahead& ahead) {
  std::size_t c = 0;
  for (; c + 16 * kTokensTogether <= dim; c += 16 * kTokensTogether) {
    weigh<format, heads, kTokensTogether>(values, dim, tokens, weights, decay, c, out, ahead);
  }
  for (; c < dim; c += 16)
    weigh<format, heads, 1>(values, dim, tokens, weights, decay, c, out, ahead);
}

// Calls task(first, size) for the heads in parts of nearly equal size, at most `most`; size is a
// type whose value is known to the compiler.
template <std::size_t size>
struct Size {
  static constexpr std::size_t value = size;
};
template <std::size_t most, typename Task>
void in_parts(std::size_t heads, const Task& task) {
  const std::size_t parts = (heads + most - 1) / most;
  for (std::size_t part = 0, first = 0; part < parts; ++part) {
    const std::size_t size = heads / parts + (part < heads % parts ? 1 : 0);
    switch (size) {
      case 1:
        task(first, Size<1>());
        break;
      case 2:
        task(first, Size<2>());
        break;
      case 3:
        task(first, Size<3>());
        break;
      case 4:
        if constexpr (most >= 4) task(first, Size<4>());
        break;
      case 5:
        if constexpr (most >= 5) task(first, Size<5>());
        break;
      case 6:
        if constexpr (most >= 6) task(first, Size<6>());
        break;
      default:
        break;
    }
    first += size;
  }
}

// The largest score so far, what that makes of the sums before, and exp(score - largest).
inline float soften(float* weights, std::size_t tokens, float& running_max, float& running_sum) {
  for (std::size_t t = tokens; t < kPageTokens; ++t) weights[t] = -3.0e38f;
  F32x16 largest = broadcast(running_max);
  for (std::size_t t = 0; t < kPageTokens; t += 16) largest = max(largest, load(weights + t));
  const float block_max = reduce_max(largest);
  const float decay = exp_one(running_max - block_max);
  running_max = block_max;
  for (std::size_t t = 0; t < kPageTokens; t += 16) {
    store(weights + t, exp(sub(load(weights + t), broadcast(block_max))));
  }
  for (std::size_t t = tokens; t < kPageTokens; ++t) weights[t] = 0.0f;
  F32x16 total = zero();
  for (std::size_t t = 0; t < kPageTokens; t += 16) total = add(total, load(weights + t));
  running_sum = running_sum * decay + reduce_add(total);
  return decay;
}

// The products of at most kHeadsAtOnce heads with a page whose elements are floats.
template <KvFormat format>
class FloatProducts {
 public:
  FloatProducts(const float* q, std::size_t heads, std::size_t dim, float scale)
      : q_(q), heads_(heads), dim_(dim), scale_(scale) {}
  // weights[h][t] = q[h] . key t * scale, for the first `tokens` tokens of a block of keys.
  void score(const std::uint8_t* block, std::size_t tokens, float (*weights)[kPageTokens],
             Ahead& ahead) const {
    const Block<format> keys(block, dim_);
    in_parts<kHeadsTogether>(heads_, [&](std::size_t first, auto size) {
      all_scores<format, decltype(size)::value>(keys, dim_, q_ + first * dim_, scale_, tokens,
                                                weights + first, ahead);
    });
  }
  // out[h] = out[h] * decay[h] + the sum over tokens of weights[h][t] * value t.
  void weigh(const std::uint8_t* block, std::size_t tokens, const float (*weights)[kPageTokens],
             const float* decay, float* out, Ahead& ahead) const {
    const Block<format> values(block, dim_);
    in_parts<kHeadsTogether>(heads_, [&](std::size_t first, auto size) {
      weigh_all<format, decltype(size)::value>(values, dim_, tokens, weights + first, decay + first,
                                               out + first * dim_, ahead);
    });
  }

 private:
  const float* q_;
  std::size_t heads_;
  std::size_t dim_;
  float scale_;
};

// At most kHeadsAtOnce heads.
template <KvFormat format, typename Products>
void attend(const AttentionArgs& p, std::size_t first_head, std::size_t heads) {
  const std::size_t dim = padded_head_dim(p.head_dim);
  const Products products(p.q + first_head * dim, heads, dim, p.scale);
  float* out = p.out + first_head * dim;
  float* running_max = p.max + first_head;
  float* running_sum = p.sum + first_head;
  for (std::size_t h = 0; h < heads; ++h) {
    running_max[h] = -3.0e38f;
    running_sum[h] = 0.0f;
  }
  for (std::size_t i = 0; i < heads * dim; i += 16) store(out + i, zero());

  alignas(64) float weights[kHeadsAtOnce][kPageTokens];
  float decay[kHeadsAtOnce];
  for (std::size_t begin = p.begin; begin < p.end; begin += kPageTokens) {
    const std::size_t tokens = p.end - begin < kPageTokens ? p.end - begin : kPageTokens;
    const std::uint8_t* page = p.pages[begin / kPageTokens];
    const std::uint8_t* values = page + p.v_offset;
    const std::size_t block = kv_block_bytes(format, dim);
    Ahead next{values, values + block / kPageTokens * tokens};
    products.score(page + p.k_offset, tokens, weights, next);
    for (std::size_t h = 0; h < heads; ++h) {
      decay[h] = soften(weights[h], tokens, running_max[h], running_sum[h]);
    }
    if (p.end - begin > kPageTokens) {
      const std::uint8_t* behind = p.pages[begin / kPageTokens + 1] + p.k_offset;
      next = {behind, behind + block};
    }
    products.weigh(values, tokens, weights, decay, out, next);
  }
}

template <KvFormat format, typename Products>
void attention(const AttentionArgs& p) {
  for (std::size_t head = 0; head < p.heads; head += kHeadsAtOnce) {
    attend<format, Products>(p, head,
                             p.heads - head < kHeadsAtOnce ? p.heads - head : kHeadsAtOnce);
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

}  // namespace
