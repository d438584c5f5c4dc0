// Under a limit of resident bytes the answer is the same bits, whatever is kept and whatever comes
// by; and whatever goes wrong, the next step is right again.
#include "bundle/weight_stream.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "bundle/checkpoint_store.h"
#include "check.h"
#include "session/session.h"
#include "temporary.h"
#include "toy_model.h"

using namespace pocketr1;
using test::TemporaryDirectory;
using test::ToyOptions;

namespace {

using Logits = std::vector<float>;

// So small that every matrix of the toy model is many slices, and the ring holds few of them.
constexpr StreamOptions kSmall{700, 1};

// A provider that can be told to fail, over another.
class Frail final : public WeightProvider {
 public:
  explicit Frail(std::shared_ptr<WeightProvider> inner) : inner_(std::move(inner)) {}
  const std::uint8_t* acquire(std::uint32_t segment) override { return inner_->acquire(segment); }
  void release(std::uint32_t segment) noexcept override { inner_->release(segment); }
  void read(std::uint32_t segment, std::uint64_t offset, void* out,
            std::size_t size) const override {
    if (reads_left.fetch_sub(1) <= 0) throw Error("bundle-unreadable", "shard", "is gone");
    inner_->read(segment, offset, out, size);
  }
  mutable std::atomic<long> reads_left{1L << 40};

 private:
  std::shared_ptr<WeightProvider> inner_;
};

struct Toy {
  std::shared_ptr<Model> model;
  std::shared_ptr<Frail> provider;
};

Toy make(const ToyOptions& options) {
  ModelSpec spec = test::toy_spec(options);
  WeightStore store = test::ToyWeights(options).make(spec);
  auto provider = std::make_shared<Frail>(store.provider);
  store.provider = provider;
  return {std::make_shared<Model>(std::move(spec), std::move(store)), provider};
}

// A prompt of two turns of the decoder, then tokens one by one; all logits.
Logits answer(const Model& model, Session& session, std::size_t tokens = 4) {
  const std::size_t vocab = model.spec().vocab_size;
  const std::int32_t sequence = session.create_sequence();
  Logits out;
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 300; ++i) {
    rows.push_back({sequence, i, static_cast<std::int32_t>(i * 37 % 203), nullptr});
  }
  Logits logits(2 * vocab);
  session.step(rows, std::vector<std::size_t>{0, 299}, logits.data());
  out.insert(out.end(), logits.begin(), logits.end());
  for (std::size_t i = 0; i < tokens; ++i) {
    const std::vector<Row> row{{sequence, 300 + i, static_cast<std::int32_t>(i), nullptr}};
    session.step(row, std::vector<std::size_t>{0}, logits.data());
    out.insert(out.end(), logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(vocab));
  }
  session.free_sequence(sequence);
  return out;
}

Logits answer(const std::shared_ptr<Model>& model, unsigned threads = 2) {
  Session session(model, {threads, 512, KvFormat::f16, ""});
  return answer(*model, session);
}

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

std::size_t all_bytes(const Model& model) {
  return model.weights().stream()->resident_bytes() + model.weights().stream()->streamed_bytes();
}

}  // namespace

TEST(every_limit_gives_the_same_bits_in_every_format) {
  for (const WeightFormatTraits& format : weight_formats()) {
    for (const bool tied : {false, true}) {
      const Toy toy = make({.matrices = format.format, .tied = tied, .parts = 3});
      const Logits mapped = answer(toy.model);
      toy.model->set_resident_limit(0, kSmall);
      const std::size_t whole = all_bytes(*toy.model);
      CHECK_EQ(toy.model->weights().stream()->resident_bytes(), 0u);
      CHECK(toy.model->weights().stream()->order().size() > 20);
      CHECK(same_bits(answer(toy.model), mapped));
      CHECK(same_bits(answer(toy.model, 1), mapped));
      toy.model->set_resident_limit(std::nullopt);
      toy.model->set_resident_limit(whole / 2, kSmall);
      const std::size_t kept = toy.model->weights().stream()->resident_bytes();
      CHECK(kept <= whole / 2 && kept > whole / 4);
      CHECK(same_bits(answer(toy.model), mapped));
      // Slices of the usual size: one for each part.
      toy.model->set_resident_limit(std::nullopt);
      toy.model->set_resident_limit(whole / 3);
      CHECK(same_bits(answer(toy.model), mapped));
    }
  }
}

TEST(a_low_rank_addend_goes_with_streamed_weights) {
  const Toy toy = make({});
  for (const char* name : {"layers.0.gate.weight", "layers.1.q.weight"}) {
    const bool gate = name[9] == 'g';
    auto addend = std::make_shared<LowRank>();
    addend->rank = 1;
    addend->a.assign(72, 0.01f);
    addend->b.assign(gate ? 100 : 96, 0.5f);
    toy.model->set_low_rank(name, addend);
  }
  const Logits mapped = answer(toy.model);
  toy.model->set_resident_limit(3000, kSmall);
  CHECK(same_bits(answer(toy.model), mapped));
}

TEST(a_pass_reads_what_is_not_kept_and_nothing_else) {
  const Toy toy = make({});
  toy.model->set_resident_limit(8000, kSmall);
  const WeightStream& stream = *toy.model->weights().stream();
  Session session(toy.model, {1, 512, KvFormat::f16, ""});
  answer(*toy.model, session, 0);
  const std::uint64_t before = stream.bytes_read();
  constexpr std::size_t kTokens = 20;
  const std::int32_t sequence = session.create_sequence();
  Logits logits(203);
  for (std::size_t i = 0; i < kTokens; ++i) {
    const std::vector<Row> row{{sequence, i, 1, nullptr}};
    session.step(row, std::vector<std::size_t>{0}, logits.data());
  }
  const std::uint64_t read = stream.bytes_read() - before;
  CHECK(read <= kTokens * stream.streamed_bytes() + stream.ring_bytes());
  CHECK(read + stream.ring_bytes() >= kTokens * stream.streamed_bytes());
  // 256 rows go through the layers together, and only the last of two turns needs the head.
  std::size_t head = 0;
  for (const WeightSlice& slice : stream.order()) {
    if (slice.tensor->name == "head.weight") head += slice.size.total();
  }
  const std::uint64_t start = stream.bytes_read();
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 512; ++i) rows.push_back({session.create_sequence(), 0, 2, nullptr});
  session.step(rows, std::vector<std::size_t>{511}, logits.data());
  CHECK(stream.bytes_read() - start <= 2 * stream.streamed_bytes() + stream.ring_bytes());
  CHECK(stream.bytes_read() - start + stream.ring_bytes() + 2 * head >=
        2 * stream.streamed_bytes());
}

TEST(the_limit_can_change_between_steps) {
  const Toy toy = make({});
  const Logits mapped = answer(toy.model);
  toy.model->set_resident_limit(0, kSmall);
  const std::size_t whole = all_bytes(*toy.model);
  const WeightStream& stream = *toy.model->weights().stream();
  for (const std::size_t limit : {whole, whole / 3, whole / 2, std::size_t{0}, whole}) {
    toy.model->set_resident_limit(limit);
    CHECK(stream.resident_bytes() <= limit);
    CHECK(same_bits(answer(toy.model), mapped));
    // What came by was kept.
    CHECK(stream.resident_bytes() + 1000 >= limit);
  }
  CHECK_EQ(stream.streamed_bytes(), 0u);
  const std::uint64_t read = stream.bytes_read();
  CHECK(same_bits(answer(toy.model), mapped));
  CHECK_EQ(stream.bytes_read(), read);
  CHECK_EQ(stream.buffer_bytes(), 0u);
  toy.model->set_resident_limit(0);
  CHECK(same_bits(answer(toy.model), mapped));
  CHECK(stream.buffer_bytes() > 0 && stream.buffer_bytes() <= stream.ring_bytes());
  toy.model->set_resident_limit(std::nullopt);
  CHECK(toy.model->weights().stream() == nullptr);
  CHECK(same_bits(answer(toy.model), mapped));
}

TEST(slices_given_back_are_the_last_that_would_be_kept) {
  const Toy toy = make({});
  toy.model->set_resident_limit(1 << 20, kSmall);
  std::size_t before = all_bytes(*toy.model);
  for (std::size_t limit = 20'000; limit > 0; limit -= 2'000) {
    toy.model->set_resident_limit(limit);
    const std::size_t kept = toy.model->weights().stream()->resident_bytes();
    CHECK(kept <= limit);
    CHECK(kept <= before);
    before = kept;
  }
}

TEST(pages_given_back_leave_memory) {
  constexpr std::size_t kSize = std::size_t{64} << 20;
  const auto resident = [] {
    unsigned long pages = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr) return std::size_t{0};
    CHECK_EQ(std::fscanf(file, "%*u %lu", &pages), 1);
    std::fclose(file);
    return static_cast<std::size_t>(pages) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  };
  if (resident() == 0) return;  // no /proc
  SystemMemory pages(kSize);
  std::memset(pages.data(), 1, kSize);
  const std::size_t full = resident();
  pages = SystemMemory();
  CHECK(resident() + kSize / 2 < full);
}

TEST(a_failed_read_ends_the_step_and_no_more) {
  const Toy toy = make({});
  const Logits mapped = answer(toy.model);
  toy.model->set_resident_limit(6000, kSmall);
  Session session(toy.model, {2, 512, KvFormat::f16, ""});
  for (const long reads : {0L, 1L, 7L, 30L, 100L}) {
    const std::int32_t sequence = session.create_sequence();
    toy.provider->reads_left = reads;
    Logits logits(203);
    std::vector<Row> rows;
    for (std::size_t i = 0; i < 8; ++i) rows.push_back({sequence, i, 1, nullptr});
    bool failed = false;
    // What was read ahead may carry the first steps.
    for (int attempt = 0; attempt < 50 && !failed; ++attempt) {
      try {
        session.step(rows, std::vector<std::size_t>{7}, logits.data());
        session.truncate(sequence, 0);
      } catch (const Error& error) {
        failed = true;
        CHECK_EQ(error.code(), std::string("bundle-unreadable"));
        CHECK_EQ(error.where(), std::string("shard"));
      }
    }
    CHECK(failed);
    CHECK_EQ(session.length(sequence), 0u);
    CHECK_ERROR(session.step(rows, std::vector<std::size_t>{7}, logits.data()),
                "bundle-unreadable");
    toy.provider->reads_left = 1L << 40;
    session.free_sequence(sequence);
    // One error may have been met ahead, before the provider recovered.
    try {
      answer(*toy.model, session);
    } catch (const Error&) {
    }
    CHECK(same_bits(answer(*toy.model, session), mapped));
  }
}

TEST(a_model_that_cannot_be_read_stays_as_it_was) {
  const Toy toy = make({});
  const Logits mapped = answer(toy.model);
  toy.provider->reads_left = 2;
  CHECK_ERROR(toy.model->set_resident_limit(1 << 20, kSmall), "bundle-unreadable");
  toy.provider->reads_left = 1L << 40;
  CHECK(toy.model->weights().stream() == nullptr);
  CHECK(same_bits(answer(toy.model), mapped));
}

TEST(a_step_that_ends_early_leaves_the_next_one_right) {
  const Toy toy = make({});
  const Logits mapped = answer(toy.model);
  toy.model->set_resident_limit(6000, kSmall);
  Session session(toy.model, {2, 512, KvFormat::f16, ""});
  const std::int32_t sequence = session.create_sequence();
  const std::vector<Row> row{{sequence, 0, 1, nullptr}};
  for (std::size_t layer = 0; layer < 2; ++layer) {
    StepOptions step;
    step.progress = [&](std::size_t at, std::size_t) { return at < layer; };
    CHECK_ERROR(session.step(row, {}, nullptr, step), "cancelled");
    CHECK(same_bits(answer(*toy.model, session), mapped));
    step.progress = {};
    step.hook = [&](std::string_view name, const float*, std::size_t, std::size_t) {
      if (name == "layers." + std::to_string(layer) + ".down.weight") throw 7;
    };
    bool thrown = false;
    try {
      session.step(row, {}, nullptr, step);
    } catch (int) {
      thrown = true;
    }
    CHECK(thrown);
    CHECK(same_bits(answer(*toy.model, session), mapped));
  }
}

TEST(sessions_of_one_model_take_turns) {
  const Toy toy = make({});
  const Logits mapped = answer(toy.model);
  toy.model->set_resident_limit(6000, kSmall);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { right += same_bits(answer(toy.model, 1), mapped) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(right.load(), 3);
}

TEST(the_limit_cannot_change_while_a_step_runs) {
  const Toy toy = make({});
  Session session(toy.model, {1, 512, KvFormat::f16, ""});
  Session other(toy.model, {1, 512, KvFormat::f16, ""});
  const std::int32_t sequence = session.create_sequence();
  const std::vector<Row> row{{sequence, 0, 1, nullptr}};
  const std::vector<Row> others{{other.create_sequence(), 0, 1, nullptr}};
  for (const bool streamed : {false, true}) {
    if (streamed) toy.model->set_resident_limit(6000, kSmall);
    int calls = 0;
    StepOptions step;
    step.progress = [&](std::size_t, std::size_t) {
      ++calls;
      CHECK_ERROR(toy.model->set_resident_limit(0), "usage-busy");
      if (streamed) CHECK_ERROR(other.step(others, {}, nullptr), "usage-busy");
      return true;
    };
    session.step(row, {}, nullptr, step);
    CHECK_EQ(calls, 2);
    session.truncate(sequence, 0);
  }
}

TEST(slices_of_files_are_the_files_bytes_past_the_cache_and_through_it) {
  const TemporaryDirectory temporary;
  std::mt19937 random(3);
  std::string content(300'001, '\0');
  for (char& c : content) c = static_cast<char>(random());
  const std::string path = temporary.write("model.safetensors", content);
  const WeightStore store = open_checkpoint({path},
                                            {{"a", WeightFormat::bf16, {70, 130}, 0, 1002},
                                             {"b", WeightFormat::w4g32z, {90, 100}, 0, 30'016},
                                             {"c", WeightFormat::f8e4m3, {33, 200}, 0, 60'001},
                                             {"d", WeightFormat::f32, {25, 999}, 0, 200'101}},
                                            true);
  SliceReader reader(store);
  for (const bool direct : {true, false}) {
    reader.set_direct(direct);
    for (const TensorRef& tensor : store.tensors) {
      const std::uint64_t start = store.segments[tensor.parts[0].segment].offset;
      for (const std::uint64_t step : {16, 32, 1000}) {
        for (const WeightSlice& slice : cut_matrix(tensor, step)) {
          SystemMemory buffer(SliceReader::buffer_size(slice));
          const std::uint8_t* bytes = reader.read(slice, buffer.data());
          const SliceRanges wanted = ranges(slice);
          for (std::size_t i = 0; i < wanted.count; ++i) {
            CHECK_EQ(
                std::memcmp(bytes, content.data() + start + wanted.at[i].offset, wanted.at[i].size),
                0);
            bytes += wanted.at[i].size;
          }
          CHECK(bytes <= buffer.data() + buffer.size());
        }
      }
    }
  }
  // A file cut short is an error that names it, whichever way it is read.
  CHECK_EQ(::truncate(path.c_str(), 250'000), 0);
  const WeightSlice last = cut_matrix(store.tensors[3], 1000)[0];
  SystemMemory buffer(SliceReader::buffer_size(last));
  for (const bool direct : {true, false}) {
    reader.set_direct(direct);
    try {
      reader.read(last, buffer.data());
      CHECK(false);
    } catch (const Error& error) {
      CHECK_EQ(error.where(), path);
    }
  }
}
