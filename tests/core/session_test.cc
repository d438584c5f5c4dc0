// One answer: a row's logits are the same bits whatever the batch, the chunks, the threads or the
// instruction set.
#include "session/session.h"

#include <new>
#include <thread>

#include "base/cpu_features.h"
#include "check.h"
#include "toy_model.h"

using namespace pocketr1;
using test::toy_model;
using test::ToyOptions;

namespace {

using Logits = std::vector<float>;

std::vector<std::int32_t> some_tokens(std::size_t n, unsigned seed = 5) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> out(n);
  for (std::int32_t& token : out) token = static_cast<std::int32_t>(random() % 203);
  return out;
}

// Appends tokens to a sequence in steps of `chunk`; the logits of every row.
Logits feed(Session& session, std::int32_t sequence, std::span<const std::int32_t> tokens,
            std::size_t chunk) {
  const std::size_t vocab = session.model().spec().vocab_size;
  Logits out;
  for (std::size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const std::size_t n = std::min(chunk, tokens.size() - begin);
    std::vector<Row> rows;
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < n; ++i) {
      rows.push_back({sequence, session.length(sequence) + i, tokens[begin + i], nullptr});
      wanted.push_back(i);
    }
    Logits logits(n * vocab);
    session.step(rows, wanted, logits.data());
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

// FNV-1a over the bits.
std::uint64_t fingerprint(const Logits& logits) {
  std::uint64_t hash = 14695981039346656037u;
  for (float x : logits) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    for (int i = 0; i < 4; ++i) hash = (hash ^ (bits >> (8 * i) & 255u)) * 1099511628211u;
  }
  return hash;
}

SessionOptions options(const char* isa, unsigned threads, KvFormat format) {
  return {threads, 2048, format, isa};
}

std::vector<std::string> isa_names() {
  std::vector<std::string> out;
  for (Isa isa : runnable_isas()) out.emplace_back(isa_name(isa));
  return out;
}

constexpr KvFormat kAllKv[] = {KvFormat::f32, KvFormat::f16, KvFormat::int8};

}  // namespace

TEST(chunks_threads_and_instruction_sets_change_no_bit) {
  const auto tokens = some_tokens(80);
  for (WeightFormat format :
       {WeightFormat::w4g32z, WeightFormat::w8g64, WeightFormat::bf16, WeightFormat::w3g64,
        WeightFormat::w2g32z, WeightFormat::f16, WeightFormat::w4g128}) {
    const auto model = toy_model({.matrices = format});
    for (KvFormat kv : kAllKv) {
      Session first(model, options("scalar", 1, kv));
      const Logits wanted = feed(first, first.create_sequence(), tokens, 80);
      for (const std::string& isa : isa_names()) {
        for (unsigned threads : {1u, 3u}) {
          if (isa == "scalar" && threads == 1) continue;  // the answer compared with
          Session session(model, options(isa.c_str(), threads, kv));
          for (std::size_t chunk : {std::size_t{80}, std::size_t{7}, std::size_t{1}}) {
            const std::int32_t sequence = session.create_sequence();
            CHECK(same_bits(wanted, feed(session, sequence, tokens, chunk)));
            session.free_sequence(sequence);
          }
        }
      }
    }
  }
}

TEST(threads_shed_and_taken_back_between_steps_change_no_bit) {
  const auto tokens = some_tokens(80);
  const auto model = toy_model({.matrices = WeightFormat::w4g32z});
  for (KvFormat kv : kAllKv) {
    Session steady(model, options("", 1, kv));
    const std::int32_t other = steady.create_sequence();
    Session session(model, options("", 4, kv));
    CHECK_EQ(session.active_threads(), 4u);
    const std::int32_t sequence = session.create_sequence();
    for (unsigned at = 0; at < 80; ++at) {
      session.set_threads(1 + at % 4);
      CHECK_EQ(session.active_threads(), 1 + at % 4);
      CHECK_EQ(session.threads(), 4u);
      const std::vector<std::int32_t> token{tokens[at]};
      CHECK(same_bits(feed(steady, other, token, 1), feed(session, sequence, token, 1)));
    }
  }
  Session session(model, options("", 2, KvFormat::f16));
  CHECK_ERROR(session.set_threads(0), "usage-threads");
  CHECK_ERROR(session.set_threads(3), "usage-threads");
  CHECK_EQ(session.active_threads(), 2u);
}

TEST(every_weight_format_gives_the_same_bits_on_every_instruction_set) {
  const auto tokens = some_tokens(40);
  for (const WeightFormatTraits& format : weight_formats()) {
    const auto model = toy_model({.matrices = format.format, .tied = format.bits == 8});
    Session first(model, options("scalar", 1, KvFormat::f16));
    const Logits wanted = feed(first, first.create_sequence(), tokens, 40);
    for (const std::string& isa : isa_names()) {
      Session session(model, options(isa.c_str(), 2, KvFormat::f16));
      for (std::size_t chunk : {std::size_t{40}, std::size_t{6}, std::size_t{1}}) {
        const std::int32_t sequence = session.create_sequence();
        CHECK(same_bits(wanted, feed(session, sequence, tokens, chunk)));
      }
    }
  }
}

TEST(long_contexts_are_split_alike_in_prefill_and_decode) {
  const auto tokens = some_tokens(1300);
  const auto model = toy_model();
  Session whole(model, options("", 3, KvFormat::f16));
  const Logits wanted = feed(whole, whole.create_sequence(), tokens, 1300);
  Session session(model, options("", 2, KvFormat::f16));
  const std::int32_t sequence = session.create_sequence();
  const std::span<const std::int32_t> all(tokens);
  feed(session, sequence, all.first(1290), 431);
  const Logits tail = feed(session, sequence, all.subspan(1290), 1);
  CHECK(same_bits(tail,
                  Logits(wanted.end() - static_cast<std::ptrdiff_t>(tail.size()), wanted.end())));
}

TEST(sequences_decoded_together_do_not_touch_each_other) {
  const auto model = toy_model({.matrices = WeightFormat::w8g32});
  const std::size_t vocab = model->spec().vocab_size;
  Session session(model, options("", 2, KvFormat::int8));
  std::vector<std::int32_t> ids;
  std::vector<Logits> alone;
  for (unsigned s = 0; s < 7; ++s) {
    const auto tokens = some_tokens(20 + 30 * s, s);
    const std::int32_t lone = session.create_sequence();
    alone.push_back(feed(session, lone, tokens, tokens.size()));
    alone.back().erase(alone.back().begin(),
                       alone.back().end() - static_cast<std::ptrdiff_t>(vocab));
    ids.push_back(session.create_sequence());
    feed(session, ids.back(), std::span(tokens).first(tokens.size() - 1), 16);
  }
  std::vector<Row> rows;
  std::vector<std::size_t> wanted;
  for (unsigned s = 0; s < 7; ++s) {
    rows.push_back({ids[s], session.length(ids[s]), some_tokens(20 + 30 * s, s).back(), nullptr});
    wanted.push_back(s);
  }
  Logits together(7 * vocab);
  session.step(rows, wanted, together.data());
  for (std::size_t s = 0; s < 7; ++s) {
    CHECK(std::memcmp(alone[s].data(), together.data() + s * vocab, vocab * 4) == 0);
  }
}

TEST(every_machine_gives_these_bits) {
  // From the scalar kernels on x86-64; the same test passes on Arm.
  const auto tokens = some_tokens(90);
  struct Known {
    WeightFormat format;
    KvFormat kv;
    std::uint64_t hash;
  };
  for (const Known& known : {Known{WeightFormat::w4g32, KvFormat::f16, 12661922406385066910u},
                             Known{WeightFormat::w3g64, KvFormat::f16, 5770376849810310154u},
                             Known{WeightFormat::w2g32z, KvFormat::f16, 11614161788773425664u},
                             Known{WeightFormat::w8g128, KvFormat::int8, 15207122880902594528u},
                             Known{WeightFormat::bf16, KvFormat::f32, 478196698934277324u},
                             Known{WeightFormat::f8e4m3, KvFormat::f16, 5029192489433981072u}}) {
    Session session(toy_model({.matrices = known.format}), options("", 2, known.kv));
    CHECK_EQ(fingerprint(feed(session, session.create_sequence(), tokens, 33)), known.hash);
  }
}

TEST(a_sequence_that_is_rolled_back_goes_on_as_if_never_extended) {
  const auto model = toy_model();
  const auto tokens = some_tokens(200);
  const auto other = some_tokens(100, 9);
  const std::span<const std::int32_t> all(tokens);
  Session session(model, options("", 2, KvFormat::f16));
  const std::int32_t plain = session.create_sequence();
  feed(session, plain, all.first(120), 120);
  const Logits wanted = feed(session, plain, all.subspan(120), 80);
  const std::int32_t rolled = session.create_sequence();
  feed(session, rolled, all.first(120), 50);
  feed(session, rolled, other, 100);
  session.truncate(rolled, 120);
  CHECK_EQ(session.length(rolled), 120u);
  // Another sequence takes the pages that were given back.
  feed(session, session.create_sequence(), other, 100);
  CHECK(same_bits(wanted, feed(session, rolled, all.subspan(120), 80)));
}

TEST(pages_carried_to_another_session_give_the_same_bits) {
  const auto tokens = some_tokens(200);
  const std::span<const std::int32_t> all(tokens);
  const auto model = toy_model();
  for (KvFormat kv : kAllKv) {
    Session first(model, options("", 2, kv));
    const std::int32_t source = first.create_sequence();
    feed(first, source, all.first(150), 150);
    std::vector<std::uint8_t> pages(2 * first.page_bytes());
    first.read_pages(source, 0, pages);
    CHECK_ERROR(first.read_pages(source, 1, pages), "usage-pages");  // the third is not full
    CHECK_ERROR(first.append_pages(source, pages), "usage-pages");   // behind 150 tokens
    const Logits wanted = feed(first, source, all.subspan(150), 50);

    Session second(model, options("scalar", 1, kv));
    const std::int32_t target = second.create_sequence();
    const std::span<const std::uint8_t> bytes(pages);
    CHECK_ERROR(second.append_pages(target, bytes.first(100)), "usage-pages");
    second.append_pages(target, bytes.first(second.page_bytes()));
    second.append_pages(target, bytes.subspan(second.page_bytes()));
    CHECK_EQ(second.length(target), 128u);
    feed(second, target, all.subspan(128, 22), 22);
    CHECK(same_bits(wanted, feed(second, target, all.subspan(150), 50)));
  }
}

TEST(freed_pages_are_used_again) {
  Session session(toy_model(), options("", 1, KvFormat::f16));
  for (int i = 0; i < 5; ++i) {
    const std::int32_t sequence = session.create_sequence();
    feed(session, sequence, some_tokens(130), 130);
    session.free_sequence(sequence);
  }
  // 130 tokens: 3 pages of 64 tokens, K and V, 2 + 4 heads of 32 padded channels, f16.
  CHECK_EQ(session.kv_bytes(), 3u * 64 * 2 * (2 + 4) * 32 * 2);
}

TEST(only_the_wanted_logits_are_computed_and_they_are_the_same) {
  const auto model = toy_model();
  const std::size_t vocab = model->spec().vocab_size;
  const auto tokens = some_tokens(300);
  Session session(model, options("", 2, KvFormat::f32));
  const Logits all = feed(session, session.create_sequence(), tokens, 300);
  const std::int32_t sequence = session.create_sequence();
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 300; ++i) rows.push_back({sequence, i, tokens[i], nullptr});
  const std::vector<std::size_t> wanted{0, 5, 255, 256, 299};
  Logits some(wanted.size() * vocab);
  session.step(rows, wanted, some.data());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(std::memcmp(some.data() + i * vocab, all.data() + wanted[i] * vocab, vocab * 4) == 0);
  }
}

TEST(an_embedding_row_stands_for_its_token) {
  const auto model = toy_model();
  const std::size_t vocab = model->spec().vocab_size;
  Session session(model, options("", 1, KvFormat::f32));
  const auto tokens = some_tokens(3);
  const Logits wanted = feed(session, session.create_sequence(), tokens, 3);
  const std::int32_t sequence = session.create_sequence();
  std::vector<float> embedding(3 * model->spec().hidden_size);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 3; ++i) {
    float* at = embedding.data() + i * model->spec().hidden_size;
    model->weights().embed().read_row(static_cast<std::size_t>(tokens[i]), at);
    rows.push_back({sequence, i, -1, at});
  }
  Logits got(3 * vocab);
  session.step(rows, std::vector<std::size_t>{0, 1, 2}, got.data());
  CHECK(same_bits(wanted, got));
}

TEST(the_hook_sees_the_input_of_every_linear_layer_and_what_the_last_leaves) {
  Session session(toy_model(), options("", 2, KvFormat::f32));
  const std::int32_t sequence = session.create_sequence();
  std::vector<std::string> seen;
  StepOptions step;
  step.hook = [&](std::string_view name, const float*, std::size_t rows, std::size_t dim) {
    seen.push_back(std::string(name) + " " + std::to_string(rows) + "x" + std::to_string(dim));
  };
  Logits logits(session.model().spec().vocab_size);
  session.step(std::vector<Row>{{sequence, 0, 1, nullptr}, {sequence, 1, 2, nullptr}},
               std::vector<std::size_t>{1}, logits.data(), step);
  const std::vector<std::string> wanted{"layers.0.q.weight 2x72",    "layers.0.o.weight 2x144",
                                        "layers.0.gate.weight 2x72", "layers.0.down.weight 2x100",
                                        "layers.1.q.weight 2x72",    "layers.1.o.weight 2x96",
                                        "layers.1.gate.weight 2x72", "layers.1.down.weight 2x60",
                                        "final_norm.weight 2x72",    "head.weight 1x72"};
  CHECK(seen == wanted);
}

TEST(a_low_rank_addend_adds_b_times_a_x) {
  const auto model = toy_model({.matrices = WeightFormat::f32});
  const std::size_t vocab = model->spec().vocab_size;
  Session session(model, options("", 2, KvFormat::f32));
  std::vector<float> input;
  StepOptions step;
  step.hook = [&](std::string_view name, const float* data, std::size_t, std::size_t dim) {
    if (name == "head.weight") input.assign(data, data + dim);
  };
  auto run = [&] {
    const std::int32_t sequence = session.create_sequence();
    Logits logits(vocab);
    session.step(std::vector<Row>{{sequence, 0, 3, nullptr}}, std::vector<std::size_t>{0},
                 logits.data(), step);
    return logits;
  };
  const Logits plain = run();
  auto addend = std::make_shared<LowRank>();
  addend->rank = 2;
  for (std::size_t i = 0; i < 2 * 72; ++i) addend->a.push_back(static_cast<float>(i % 7) - 3.0f);
  for (std::size_t i = 0; i < 2 * vocab; ++i) addend->b.push_back(static_cast<float>(i % 5) - 2.0f);
  model->set_low_rank("head.weight", addend);
  const Logits adapted = run();
  double low[2] = {};
  for (std::size_t k = 0; k < 72; ++k) {
    low[0] += addend->a[k] * input[k];
    low[1] += addend->a[72 + k] * input[k];
  }
  for (std::size_t r = 0; r < vocab; ++r) {
    const double wanted = plain[r] + addend->b[2 * r] * low[0] + addend->b[2 * r + 1] * low[1];
    CHECK(std::abs(adapted[r] - wanted) < 1e-3);
  }
  model->set_low_rank("head.weight", nullptr);
  CHECK(same_bits(plain, run()));
  CHECK_ERROR(model->set_low_rank("nothing.weight", nullptr), "usage-tensor");
  CHECK_ERROR(model->set_low_rank("embed.weight", addend), "usage-tensor");
  CHECK_ERROR(model->set_low_rank("layers.0.q.weight", addend), "usage-adapter");
}

TEST(a_cancelled_step_leaves_every_sequence_as_it_was) {
  Session session(toy_model(), options("", 2, KvFormat::f16));
  const std::int32_t sequence = session.create_sequence();
  feed(session, sequence, some_tokens(10), 10);
  session.cancel();
  CHECK_ERROR(feed(session, sequence, some_tokens(500), 500), "cancelled");
  CHECK_EQ(session.length(sequence), 10u);
  StepOptions stop_later;
  std::size_t calls = 0;
  stop_later.progress = [&](std::size_t, std::size_t) { return ++calls < 4; };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 600; ++i) rows.push_back({sequence, 10 + i, 1, nullptr});
  CHECK_ERROR(session.step(rows, {}, nullptr, stop_later), "cancelled");
  CHECK_EQ(session.length(sequence), 10u);
  feed(session, sequence, some_tokens(5), 5);
  CHECK_EQ(session.length(sequence), 15u);
}

TEST(a_step_that_runs_out_of_memory_half_way_leaves_every_sequence_as_it_was) {
  // Weights that fail to come when the count runs out.
  class Failing : public WeightProvider {
   public:
    std::shared_ptr<WeightProvider> whole;
    int left = -1;
    const std::uint8_t* acquire(std::uint32_t segment) override {
      if (left >= 0 && left-- == 0) throw std::bad_alloc();
      return whole->acquire(segment);
    }
    void release(std::uint32_t segment) noexcept override { whole->release(segment); }
    void read(std::uint32_t segment, std::uint64_t offset, void* out,
              std::size_t size) const override {
      whole->read(segment, offset, out, size);
    }
  };
  ModelSpec spec = test::toy_spec({});
  WeightStore store = test::ToyWeights({}).make(spec);
  const auto failing = std::make_shared<Failing>();
  failing->whole = store.provider;
  store.provider = failing;
  Session session(std::make_shared<Model>(std::move(spec), std::move(store)),
                  options("", 2, KvFormat::f16));
  const auto tokens = some_tokens(300);
  const Logits wanted = feed(session, session.create_sequence(), tokens, 300);
  const std::int32_t sequence = session.create_sequence();
  const std::span<const std::int32_t> all(tokens);
  Logits got = feed(session, sequence, all.first(10), 10);
  for (int allowed : {0, 5, 292, 310, 330}) {  // tokens read, in each layer, in the head
    failing->left = allowed;
    CHECK_ERROR(feed(session, sequence, all.subspan(10), 290), "memory");
    failing->left = -1;
    CHECK_EQ(session.length(sequence), 10u);
  }
  const std::size_t bytes = session.kv_bytes();
  const Logits rest = feed(session, sequence, all.subspan(10), 290);
  got.insert(got.end(), rest.begin(), rest.end());
  CHECK(same_bits(wanted, got));
  CHECK_EQ(session.kv_bytes(), bytes);  // no page was lost
}

TEST(callbacks_of_a_step_cannot_change_the_session_under_it) {
  Session session(toy_model(), options("", 2, KvFormat::f16));
  const std::int32_t sequence = session.create_sequence();
  const std::vector<Row> rows{{sequence, 0, 1, nullptr}, {sequence, 1, 2, nullptr}};
  std::size_t calls = 0;
  StepOptions step;
  step.hook = [&](std::string_view, const float*, std::size_t, std::size_t) {
    ++calls;
    CHECK_ERROR(session.free_sequence(sequence), "usage-busy");
    CHECK_ERROR(session.truncate(sequence, 0), "usage-busy");
    CHECK_ERROR(session.create_sequence(), "usage-busy");
    CHECK_ERROR(session.set_threads(1), "usage-busy");
    CHECK_ERROR(session.step(rows, {}, nullptr), "usage-busy");
    CHECK_ERROR(session.sample(Logits(203), {}, {}, 0), "usage-busy");
    CHECK_EQ(session.length(sequence), 0u);
  };
  session.step(rows, {}, nullptr, step);
  CHECK_EQ(calls, 9u);
  CHECK_EQ(session.length(sequence), 2u);
  // A callback that throws gives the session back as well.
  step.hook = [](std::string_view, const float*, std::size_t, std::size_t) { throw 7; };
  bool thrown = false;
  try {
    session.step(std::vector<Row>{{sequence, 2, 1, nullptr}}, {}, nullptr, step);
  } catch (int) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK_EQ(session.length(sequence), 2u);
  session.free_sequence(sequence);
}

TEST(cancel_from_another_thread_ends_the_step) {
  Session session(toy_model(), options("scalar", 2, KvFormat::f16));
  const std::int32_t sequence = session.create_sequence();
  std::atomic<bool> started{false};
  std::thread other([&] {
    while (!started) std::this_thread::yield();
    session.cancel();
  });
  StepOptions step;
  step.progress = [&](std::size_t, std::size_t) {
    started = true;
    return true;
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 2000; ++i) rows.push_back({sequence, i, 1, nullptr});
  CHECK_ERROR(session.step(rows, {}, nullptr, step), "cancelled");
  other.join();
}

TEST(rows_that_make_no_sense_are_refused) {
  Session session(toy_model(), options("", 1, KvFormat::f16));
  const std::int32_t s = session.create_sequence();
  const std::vector<std::size_t> none;
  auto step = [&](std::vector<Row> rows, std::vector<std::size_t> wanted) {
    Logits logits(1000);
    session.step(rows, wanted, logits.data());
  };
  CHECK_ERROR(step({{s, 1, 0, nullptr}}, none), "usage-rows");
  CHECK_ERROR(step({{s, 0, 0, nullptr}, {s, 0, 0, nullptr}}, none), "usage-rows");
  CHECK_ERROR(step({{s, 0, 203, nullptr}}, none), "usage-token");
  CHECK_ERROR(step({{s, 0, -1, nullptr}}, none), "usage-token");
  CHECK_ERROR(step({{s + 1, 0, 0, nullptr}}, none), "usage-sequence");
  CHECK_ERROR(step({{s, 0, 0, nullptr}}, {1}), "usage-rows");
  CHECK_ERROR(session.truncate(s, 1), "usage-sequence");
  CHECK_ERROR(feed(session, s, some_tokens(2049), 2049), "context-full");
  CHECK_EQ(session.length(s), 0u);
  CHECK_ERROR(Session(toy_model(), {0, 10, KvFormat::f16, ""}), "usage-threads");
  CHECK_ERROR(Session(toy_model(), {1, 5000, KvFormat::f16, ""}), "usage-context");
  CHECK_ERROR(Session(toy_model(), {1, 10, KvFormat::f16, "sse9"}), "isa-unsupported");
}

TEST(weights_that_do_not_fit_the_spec_are_refused_by_name) {
  const ModelSpec spec = test::toy_spec({});
  auto broken = [&](auto change) {
    WeightStore store = test::ToyWeights({}).make(spec);
    change(store);
    try {
      const Model model(spec, std::move(store));
    } catch (const Error& error) {
      return error.code() + " " + error.where();
    }
    return std::string("no error");
  };
  CHECK_EQ(broken([](WeightStore& s) { s.tensors.erase(s.tensors.begin() + 3); }),
           std::string("bundle-invalid layers.0.k.weight"));
  CHECK_EQ(broken([](WeightStore& s) { s.tensors[3].name = "layers.0.z.weight"; }),
           std::string("bundle-invalid layers.0.k.weight"));
  CHECK_EQ(broken([](WeightStore& s) { s.tensors.push_back(s.tensors[5]); }),
           "bundle-invalid " + test::ToyWeights({}).make(spec).tensors[5].name);
  CHECK_EQ(broken([](WeightStore& s) { s.tensors[0].shape[0] = 202; }),
           std::string("bundle-invalid embed.weight"));
}

TEST(the_kernel_of_each_format_and_batch_is_the_one_that_ran) {
  for (const std::string& isa : isa_names()) {
    const auto model = toy_model({.matrices = WeightFormat::w4g64});
    Session session(model, options(isa.c_str(), 1, KvFormat::f16));
    for (const auto& [rows, kind] :
         {std::pair{1, "gemv"}, {4, "gemv"}, {5, "gemm"}, {33, "gemm"}}) {
      session.trace().set(true);
      const std::int32_t sequence = session.create_sequence();
      std::vector<Row> batch;
      for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
        batch.push_back({sequence, i, 1, nullptr});
      }
      session.step(batch, {}, nullptr);
      // i8mm leaves few rows of activations to the dot product.
      const bool dot = isa == "neon_i8mm" && rows <= 4;
      const std::string name = (isa == "scalar" ? "linear" : kind) + std::string("_w4g64_a8_") +
                               (dot ? "neon_dotprod" : isa);
      CHECK(session.trace().names() == std::set<std::string>{name});
    }
  }
}
