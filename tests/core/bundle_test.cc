#include "bundle/bundle.h"

#include <fcntl.h>

#include <cstring>
#include <sstream>
#include <string>
#include <thread>

#include "base/sha256.h"
#include "bundle/checkpoint_store.h"
#include "bundle/file.h"
#include "check.h"
#include "temporary.h"

// The Python tests of the reader go through every field; these look at the C++ interface, and give
// the sanitizers something to watch.

using namespace pocketr1;
using pocketr1::test::TemporaryDirectory;

namespace {

constexpr std::size_t kData = 16'384;  // where the shard's data begins
constexpr const char* kShard = "blocks/00000.safetensors";

struct Made {
  std::string json;
  std::string shard;
};

// Two parts of "embed.weight", w4g32z (40, 40), in segments of their own; "final_norm.weight",
// f32 (40), and "head.weight", w8g64 (17, 40), in a third.
class Writer {
 public:
  Made make() {
    begin_segment();
    tiles("embed.weight", "@0", WeightFormat::w4g32z, 0, 32, 40);
    end_segment();
    begin_segment();
    tiles("embed.weight", "@32", WeightFormat::w4g32z, 32, 8, 40);
    end_segment();
    begin_segment();
    part("final_norm.weight", 0, 40);
    entry("final_norm.weight", "F32", "[40]", 160);
    pad(64);
    tiles("head.weight", "", WeightFormat::w8g64, 0, 17, 40);
    end_segment();

    std::string header = "{" + header_.substr(1) + "}";
    header.resize(kData - 8, ' ');
    std::string shard;
    for (unsigned i = 0; i < 8; ++i) shard.push_back(static_cast<char>(header.size() >> (8 * i)));
    shard += header + data_;
    const std::string hash = to_hex(sha256(shard.data(), shard.size()));
    const std::string json =
        R"({"format": "pocketr1.bundle", "version": 1, "model": {"architecture": "none"},)"
        R"("tensors": [{"name": "embed.weight", "format": "w4g32z", "shape": [40, 40]},)"
        R"({"name": "final_norm.weight", "format": "f32", "shape": [40]},)"
        R"({"name": "head.weight", "format": "w8g64", "shape": [17, 40]}],)"
        R"("shards": [{"file": "blocks/00000.safetensors", "size": )" +
        std::to_string(shard.size()) + R"(, "chunks": [{"encoding": "raw", "sha256": ")" + hash +
        R"("}]}], "segments": [)" + segments_.substr(1) + "]}";
    return {json, shard};
  }

 private:
  void entry(const std::string& name, const std::string& dtype, const std::string& shape,
             std::size_t size) {
    header_ += ",\"" + name + "\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape +
               ", \"data_offsets\": [" + std::to_string(data_.size()) + ", " +
               std::to_string(data_.size() + size) + "]}";
    for (std::size_t i = 0; i < size; ++i) data_.push_back(static_cast<char>(i % 16));
  }
  void pad(std::size_t multiple) {
    const std::size_t gap = (multiple - data_.size() % multiple) % multiple;
    if (gap == 0) return;
    entry("padding." + std::to_string(paddings_++), "U8", "[" + std::to_string(gap) + "]", gap);
  }
  void begin_segment() {
    pad(kData);
    segment_ = data_.size();
    parts_.clear();
  }
  void end_segment() {
    segments_ += ",{\"shard\": 0, \"offset\": " + std::to_string(kData + segment_) +
                 ", \"size\": " + std::to_string(data_.size() - segment_) + ", \"parts\": [" +
                 parts_.substr(1) + "]}";
  }
  void part(const std::string& tensor, std::size_t row, std::size_t rows) {
    parts_ += ",{\"tensor\": \"" + tensor + "\", \"row\": " + std::to_string(row) +
              ", \"rows\": " + std::to_string(rows) +
              ", \"offset\": " + std::to_string(kData + data_.size()) + "}";
  }
  void tiles(const std::string& tensor, const std::string& suffix, WeightFormat format,
             std::size_t row, std::size_t rows, std::size_t cols) {
    part(tensor, row, rows);
    const PackedSize size = packed_size(format, rows, cols);
    const std::size_t blocks = (rows + 15) / 16;
    const auto shape = [&](std::size_t bytes, std::size_t last) {
      return "[" + std::to_string(blocks) + ", " + std::to_string(bytes / blocks / last) + ", " +
             std::to_string(last) + "]";
    };
    entry(tensor + suffix + ".codes", "U8", shape(size.codes, 64), size.codes);
    entry(tensor + suffix + ".scales", "F16", shape(size.scales / 2, 16), size.scales);
    if (size.zeros != 0) entry(tensor + suffix + ".zeros", "U8", shape(size.zeros, 16), size.zeros);
  }

  std::string header_;
  std::string data_;
  std::string segments_;
  std::string parts_;
  std::size_t segment_ = 0;
  int paddings_ = 0;
};

std::string write(const TemporaryDirectory& temporary, const Made& made) {
  temporary.write("bundle.json", made.json);
  temporary.write(kShard, made.shard);
  return temporary.path();
}

// Reads every byte of every segment; returns their sum.
std::uint64_t touch(const WeightStore& store) {
  std::uint64_t sum = 0;
  for (std::uint32_t s = 0; s < store.segments.size(); ++s) {
    const std::uint8_t* bytes = store.provider->acquire(s);
    for (std::uint64_t i = 0; i < store.segments[s].size; ++i) sum += bytes[i];
    store.provider->release(s);
  }
  return sum;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST(a_bundle_gives_its_tensors_and_bytes) {
  const TemporaryDirectory temporary;
  const Made made = Writer().make();
  const std::string path = write(temporary, made);
  for (const bool mmap : {true, false}) {
    const Bundle bundle = Bundle::open(path, mmap);
    CHECK_EQ(bundle.name(), path + "/bundle.json");
    CHECK_EQ(bundle.model_spec_text(), R"({"architecture": "none"})");
    CHECK_EQ(bundle.model_spec().at("architecture").string(), "none");
    CHECK_EQ(bundle.metadata_text(), made.json);
    const WeightStore& store = bundle.weights();
    CHECK_EQ(store.tensors.size(), 3u);
    const TensorRef& embed = store.tensors[0];
    CHECK(embed.format == WeightFormat::w4g32z);
    CHECK_EQ(embed.parts.size(), 2u);
    CHECK_EQ(embed.parts[1].row, 32u);
    for (const TensorRef& tensor : store.tensors) {
      for (const PartRef& part : tensor.parts) {
        const std::uint8_t* bytes = store.provider->acquire(part.segment) + part.offset;
        CHECK_EQ(reinterpret_cast<std::uintptr_t>(bytes) % 64, 0u);
        const std::uint64_t at = store.segments[part.segment].offset + part.offset;
        CHECK_EQ(std::memcmp(bytes, made.shard.data() + at, part_size(tensor, part).total()), 0);
      }
    }
    CHECK_EQ(bundle.weight_bytes(), packed_size(WeightFormat::w4g32z, 40, 40).total() + 160 +
                                        packed_size(WeightFormat::w8g64, 17, 40).total());
    bundle.verify();
  }
}

TEST(a_store_outlives_its_bundle) {
  const TemporaryDirectory temporary;
  const std::string path = write(temporary, Writer().make());
  const WeightStore mapped = Bundle::open(path, true).weights();
  const WeightStore in_memory = Bundle::open(path, false).weights();
  CHECK_EQ(touch(mapped), touch(in_memory));
}

TEST(segments_are_read_once_whoever_asks) {
  const TemporaryDirectory temporary;
  const Bundle bundle = Bundle::open(write(temporary, Writer().make()), false);
  WeightProvider& provider = *bundle.weights().provider;
  std::vector<const std::uint8_t*> seen(4);
  std::vector<std::thread> threads;
  for (const std::uint8_t*& place : seen) {
    threads.emplace_back([&] { place = provider.acquire(2); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint8_t* place : seen) CHECK(place == seen[0]);
  provider.release(2);
  CHECK(provider.acquire(2) == seen[0]);
}

TEST(descriptors_at_any_offset_serve_as_files) {
  const TemporaryDirectory temporary;
  const Made made = Writer().make();
  const std::uint64_t expected = touch(Bundle::open(write(temporary, made)).weights());
  for (const std::size_t lead : {std::size_t{1}, std::size_t{64}, std::size_t{4096}}) {
    const std::string package = std::string(lead, '?') + made.shard + made.json;
    const Descriptor fd(::open(temporary.write("package", package).c_str(), O_RDONLY | O_CLOEXEC));
    const std::vector<NamedFile> files{
        {"bundle.json", fd.get(), lead + made.shard.size(), made.json.size()},
        {kShard, fd.get(), lead, made.shard.size()}};
    for (const bool mmap : {true, false}) {
      const Bundle bundle = Bundle::open(files, mmap);
      CHECK_EQ(touch(bundle.weights()), expected);
      bundle.verify();
    }
    CHECK_ERROR(Bundle::open(std::vector<NamedFile>{files[0]}), "bundle-unreadable");
    CHECK_ERROR(Bundle::open(std::vector<NamedFile>{files[0], files[1], files[1]}),
                "bundle-unreadable");
  }
}

TEST(errors_name_file_tensor_and_reason) {
  const TemporaryDirectory temporary;
  const Made made = Writer().make();
  const auto what = [&](const Made& edited) -> std::string {
    const std::string path = write(temporary, edited);
    try {
      Bundle::open(path);
    } catch (const Error& error) {
      return error.code() + " " + std::string(error.what()).substr(path.size() + 1);
    }
    return "";
  };
  CHECK_EQ(what(made), "");
  CHECK_EQ(what({replaced(made.json, "\"rows\": 8,", "\"rows\": 9,"), made.shard}),
           "bundle-invalid bundle.json: segments[1].parts[0].rows: tensor \"embed.weight\": 9 rows "
           "from row 32 of 40");
  CHECK_EQ(what({made.json, replaced(made.shard, "\"dtype\": \"F32\"", "\"dtype\": \"I32\"")}),
           std::string("bundle-invalid ") + kShard +
               ": tensor \"final_norm.weight\": the header's entry \"final_norm.weight\" has type "
               "I32, not F32");
  CHECK_EQ(what({made.json, made.shard + "x"}),
           std::string("bundle-invalid ") + kShard + ": it has " +
               std::to_string(made.shard.size() + 1) + " bytes, bundle.json says " +
               std::to_string(made.shard.size()));
  CHECK_EQ(what({replaced(made.json, "\"shape\": [40]", "\"shape\": [80]"), made.shard}),
           "bundle-invalid bundle.json: segments[2].parts[0].rows: tensor \"final_norm.weight\": a "
           "vector lies in one part, with all its rows");
}

TEST(bad_values_are_found_when_read_and_by_verify) {
  const TemporaryDirectory temporary;
  const Made made = Writer().make();
  const PackedSize size = packed_size(WeightFormat::w4g32z, 32, 40);
  struct Case {
    std::size_t at;
    char value;
    const char* code;
  };
  const std::size_t head = made.shard.size() - packed_size(WeightFormat::w8g64, 17, 40).total();
  for (const Case& bad : {Case{kData + size.codes + 7, '\x7C', "bundle-scales"},
                          Case{kData + size.codes + 7, '\x80', "bundle-scales"},
                          Case{kData + size.codes + size.scales, '\x10', "bundle-scales"},
                          Case{head, '\x80', "bundle-codes"}}) {
    Made edited = made;
    edited.shard[bad.at] = bad.value;
    edited.json = replaced(made.json, to_hex(sha256(made.shard.data(), made.shard.size())),
                           to_hex(sha256(edited.shard.data(), edited.shard.size())));
    const std::string path = write(temporary, edited);
    CHECK_ERROR(touch(Bundle::open(path, false).weights()), bad.code);
    CHECK_ERROR(Bundle::open(path).verify(), bad.code);
    touch(Bundle::open(path).weights());
  }
  Made edited = made;
  edited.shard[kData] ^= 1;
  CHECK_ERROR(Bundle::open(write(temporary, edited)).verify(), "bundle-hash");
}

TEST(noise_is_an_error_or_harmless) {
  const TemporaryDirectory temporary;
  const Made made = Writer().make();
  const std::size_t header = made.shard.find("   ");
  std::uint32_t state = 1;
  const auto random = [&](std::size_t below) {
    state = state * 1664525u + 1013904223u;
    return std::size_t{state >> 8} % below;
  };
  write(temporary, made);
  int opened = 0;
  for (int round = 0; round < 1000; ++round) {
    const bool json = round % 2 == 0;
    std::string file = json ? made.json : made.shard;
    const std::size_t end = json ? file.size() : header;
    for (std::size_t i = 0; i <= random(3); ++i) {
      constexpr std::string_view kLikely = "0123456789-,:[]{}\"e. ";
      file[random(end)] =
          random(4) == 0 ? static_cast<char>(random(256)) : kLikely[random(kLikely.size())];
    }
    temporary.write(json ? "bundle.json" : kShard, file);
    try {
      touch(Bundle::open(temporary.path(), random(2) == 0).weights());
      ++opened;
    } catch (const Error& error) {
      if (!error.code().starts_with("bundle-")) throw;
    }
    temporary.write(json ? "bundle.json" : kShard, json ? made.json : made.shard);
  }
  CHECK(opened > 0 && opened < 500);
}

TEST(a_checkpoint_is_mapped_where_its_alignment_allows) {
  const TemporaryDirectory temporary;
  std::string content(64, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i);
  const std::string path = temporary.write("model.safetensors", content);
  const std::vector<CheckpointTensor> tensors{
      {"a", WeightFormat::f32, {2, 3}, 0, 4},    // aligned
      {"b", WeightFormat::f32, {3}, 0, 30},      // 2 bytes off
      {"c", WeightFormat::bf16, {4, 2}, 0, 46},  // aligned for a half
      {"d", WeightFormat::f16, {1, 1}, 0, 3},    // odd
  };
  for (const bool mmap : {true, false}) {
    const WeightStore store = open_checkpoint({path}, tensors, mmap);
    CHECK_EQ(store.tensors.size(), 4u);
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const PartRef& part = store.tensors[t].parts[0];
      CHECK_EQ(part.rows, tensors[t].shape[0]);
      const std::uint8_t* bytes = store.provider->acquire(part.segment) + part.offset;
      CHECK_EQ(reinterpret_cast<std::uintptr_t>(bytes) % (traits(tensors[t].format).bits / 8), 0u);
      CHECK_EQ(
          std::memcmp(bytes, content.data() + tensors[t].offset, store.segments[part.segment].size),
          0);
    }
  }
}

TEST(a_checkpoint_is_refused_for_tensors_outside_its_files) {
  const TemporaryDirectory temporary;
  const std::string path = temporary.write("model.safetensors", std::string(64, 'x'));
  using Tensors = std::vector<CheckpointTensor>;
  const auto open = [&](const Tensors& tensors) { open_checkpoint({path}, tensors, true); };
  CHECK_ERROR(open({{"a", WeightFormat::f32, {17}, 0, 0}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1}, 0, 61}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1}, 0, UINT64_MAX}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1ull << 40, 1ull << 40}, 0, 0}}),
              "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {0, 4}, 0, 0}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1, 1, 1}, 0, 0}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::w4g32, {16, 2}, 0, 0}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1}, 1, 0}}), "safetensors-invalid");
  CHECK_ERROR(open({{"a", WeightFormat::f32, {1}, 0, 0}, {"a", WeightFormat::f32, {1}, 0, 4}}),
              "safetensors-invalid");
  CHECK_ERROR(open_checkpoint({path + "x"}, {}, true), "safetensors-unreadable");
}
