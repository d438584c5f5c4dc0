#include "bundle/verify.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/sha256.h"
#include "bundle/values.h"

namespace pocketr1 {
namespace {

// The tensors with bytes in [begin, end) of a shard, for messages: ", with tensor "a", "b" and 3
// more,".
std::string tensors_in(const BundleLayout& layout, std::uint32_t shard, std::uint64_t begin,
                       std::uint64_t end) {
  constexpr std::size_t kNamed = 2;
  std::set<std::uint32_t> met;
  std::string names;
  for (std::size_t s = 0; s < layout.segments.size(); ++s) {
    if (layout.segments[s].file != shard) continue;
    for (const SegmentPart& member : layout.segment_parts[s]) {
      const TensorRef& tensor = layout.tensors[member.tensor];
      const PartRef& part = tensor.parts[member.part];
      const std::uint64_t first = layout.segments[s].offset + part.offset;
      if (first >= end || first + part_size(tensor, part).total() <= begin) continue;
      if (!met.insert(member.tensor).second || met.size() > kNamed) continue;
      names += (names.empty() ? ", with tensor \"" : ", \"") + printable(tensor.name) + "\"";
    }
  }
  if (met.size() > kNamed) names += " and " + std::to_string(met.size() - kNamed) + " more";
  return names.empty() ? names : names + ",";
}

// One pass over all bytes of a bundle.
class Verifier {
 public:
  Verifier(const BundleLayout& layout, const FileSource& source,
           const std::vector<std::shared_ptr<const File>>& shards, const Bundle::Progress& progress)
      : layout_(layout), source_(source), shards_(shards), progress_(progress) {}

  void run() {
    std::vector<TokenizerFile> tokenizer = tokenizer_files();
    for (const auto& shard : shards_) total_ += shard->size();
    for (const SegmentRef& segment : layout_.segments) total_ += segment.size;
    for (const TokenizerFile& file : tokenizer) total_ += file.file->size();
    advance(0);
    for (const TokenizerFile& file : tokenizer) verify_tokenizer(file);
    for (std::uint32_t i = 0; i < shards_.size(); ++i) verify_chunks(i);
    for (std::uint32_t i = 0; i < layout_.segments.size(); ++i) verify_values(i);
  }

 private:
  struct TokenizerFile {
    std::shared_ptr<const File> file;
    Sha256Digest sha256;
  };

  std::vector<TokenizerFile> tokenizer_files() const {
    std::vector<TokenizerFile> result;
    try {
      const std::optional<Json> tokenizer = layout_.metadata.find("tokenizer");
      if (!tokenizer || tokenizer->is_null()) return result;
      for (const Json row : tokenizer->at("files")) {
        std::shared_ptr<const File> file = source_.open(row.key());
        const std::optional<Sha256Digest> digest = digest_from_hex(row.at("sha256").string());
        if (!digest) row.at("sha256").fail("must be 64 lower-case hexadecimal digits");
        const std::uint64_t size = row.at("size").unsigned_integer();
        if (file->size() != size) {
          throw Error("bundle-hash", file->name(),
                      "it has " + std::to_string(file->size()) + " bytes, bundle.json says " +
                          std::to_string(size));
        }
        result.push_back({std::move(file), *digest});
      }
    } catch (const Error& error) {
      if (error.code() != "json-invalid") throw;
      throw Error("bundle-invalid", "bundle.json", error.what());
    }
    return result;
  }

  void verify_tokenizer(const TokenizerFile& tokenizer) {
    Sha256 hash;
    for (std::uint64_t at = 0; at < tokenizer.file->size(); at += kChunkBytes) {
      const auto [bytes, size] = read(*tokenizer.file, at, kChunkBytes);
      hash.update(bytes, size);
      advance(size);
    }
    if (hash.finish() != tokenizer.sha256) {
      throw Error("bundle-hash", tokenizer.file->name(), "its SHA-256 is not bundle.json's");
    }
  }

  void verify_chunks(std::uint32_t shard) {
    const File& file = *shards_[shard];
    for (std::size_t i = 0; i < layout_.shards[shard].chunks.size(); ++i) {
      const std::uint64_t begin = i * kChunkBytes;
      const auto [bytes, size] = read(file, begin, kChunkBytes);
      if (sha256(bytes, size) != layout_.shards[shard].chunks[i]) {
        throw Error("bundle-hash", file.name(),
                    "bytes " + std::to_string(begin) + " to " + std::to_string(begin + size) +
                        tensors_in(layout_, shard, begin, begin + size) +
                        " do not match their SHA-256");
      }
      advance(size);
    }
  }

  void verify_values(std::uint32_t segment) {
    const SegmentRef& place = layout_.segments[segment];
    const File& file = *shards_[place.file];
    const auto [bytes, size] = read(file, place.offset, place.size);
    check_segment_values(layout_, segment, bytes, file.name());
    advance(size);
  }

  // At most `size` bytes from `offset`, as far as the file goes, valid until the next call.
  std::pair<const std::uint8_t*, std::size_t> read(const File& file, std::uint64_t offset,
                                                   std::uint64_t size) {
    const auto count = static_cast<std::size_t>(std::min(size, file.size() - offset));
    if (buffer_.size() < count) buffer_.resize(count);
    file.read(offset, buffer_.data(), count);
    return {buffer_.data(), count};
  }

  void advance(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

  const BundleLayout& layout_;
  const FileSource& source_;
  const std::vector<std::shared_ptr<const File>>& shards_;
  const Bundle::Progress& progress_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

void verify_bundle(const BundleLayout& layout, const FileSource& source,
                   const std::vector<std::shared_ptr<const File>>& shards,
                   const Bundle::Progress& progress) {
  Verifier(layout, source, shards, progress).run();
}

}  // namespace pocketr1
