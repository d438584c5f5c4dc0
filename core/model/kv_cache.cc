#include "model/kv_cache.h"

#include <new>
#include <string>

#include "base/error.h"

namespace pocketr1 {

KvCache::KvCache(const ModelSpec& spec, KvFormat format, std::size_t max_context)
    : format_(format), max_context_(max_context) {
  const std::size_t block = kv_block_bytes(format, spec.head_dim);
  for (const LayerSpec& layer : spec.layers) {
    layer_offsets_.push_back(page_bytes_);
    page_bytes_ += layer.kv_heads * 2 * block;
  }
}

KvCache::Sequence& KvCache::find(std::int32_t sequence) {
  return const_cast<Sequence&>(static_cast<const KvCache*>(this)->find(sequence));
}

const KvCache::Sequence& KvCache::find(std::int32_t sequence) const {
  const auto it = sequences_.find(sequence);
  if (it == sequences_.end()) {
    throw Error("usage-sequence", std::to_string(sequence), "no sequence has this id");
  }
  return it->second;
}

std::int32_t KvCache::create() {
  sequences_.emplace(next_id_, Sequence{});
  return next_id_++;
}

void KvCache::free(std::int32_t sequence) {
  truncate(sequence, 0);
  sequences_.erase(sequence);
}

std::size_t KvCache::length(std::int32_t sequence) const { return find(sequence).length; }

void KvCache::truncate(std::int32_t sequence, std::size_t length) {
  Sequence& s = find(sequence);
  if (length > s.length) {
    throw Error(
        "usage-sequence", std::to_string(sequence),
        "it has " + std::to_string(s.length) + " tokens, fewer than " + std::to_string(length));
  }
  s.length = length;
  const std::size_t kept = (length + kPageTokens - 1) / kPageTokens;
  while (s.pages.size() > kept) {
    free_.push_back(s.pages.back());
    s.pages.pop_back();
  }
}

void KvCache::reserve(std::int32_t sequence, std::size_t length) {
  Sequence& s = find(sequence);
  if (length > max_context_) {
    throw Error("context-full", std::to_string(max_context_),
                std::to_string(length) + " tokens do not fit in a context of " +
                    std::to_string(max_context_));
  }
  const std::size_t wanted = (length + kPageTokens - 1) / kPageTokens;
  try {
    while (s.pages.size() < wanted) {
      if (free_.empty()) {
        free_.reserve(pages_.size() + 1);
        pages_.emplace_back(page_bytes_);
        free_.push_back(pages_.back().data());
      }
      s.pages.push_back(free_.back());
      free_.pop_back();
    }
  } catch (const std::bad_alloc&) {
    throw Error("memory", "K/V cache",
                "no memory for another page of " + std::to_string(page_bytes_) + " bytes");
  }
}

void KvCache::commit(std::int32_t sequence, std::size_t length) { find(sequence).length = length; }

std::uint8_t* const* KvCache::pages(std::int32_t sequence) const {
  return find(sequence).pages.data();
}

}  // namespace pocketr1
