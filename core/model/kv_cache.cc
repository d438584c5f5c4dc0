#include "model/kv_cache.h"

#include <cstring>
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

std::int32_t KvCache::fork(std::int32_t sequence, std::size_t length) {
  const Sequence& from = find(sequence);
  if (length > from.length) {
    throw Error(
        "usage-sequence", std::to_string(sequence),
        "it has " + std::to_string(from.length) + " tokens, fewer than " + std::to_string(length));
  }
  const auto kept = static_cast<std::ptrdiff_t>(pages_of(length));
  Sequence made{{from.pages.begin(), from.pages.begin() + kept}, length};
  const Sequence& added = sequences_.emplace(next_id_, std::move(made)).first->second;
  for (const std::uint8_t* page : added.pages) ++pages_.at(page).references;
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
  while (s.pages.size() > pages_of(length)) {
    release(s.pages.back());
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
  try {
    s.pages.reserve(pages_of(length));
    if (length > s.length && s.length % kPageTokens != 0) {
      std::uint8_t*& last = s.pages[s.length / kPageTokens];
      if (references(last) > 1) {
        std::uint8_t* copy = take();
        std::memcpy(copy, last, page_bytes_);
        release(last);
        last = copy;
      }
    }
    while (s.pages.size() < pages_of(length)) s.pages.push_back(take());
  } catch (const std::bad_alloc&) {
    throw Error("memory", "K/V cache",
                "no memory for another page of " + std::to_string(page_bytes_) + " bytes");
  }
}

std::uint8_t* KvCache::take() {
  if (free_.empty()) {
    free_.reserve(pages_.size() + 1);
    SystemMemory memory(page_bytes_);
    std::uint8_t* page = memory.data();
    pages_.emplace(page, Page{std::move(memory)});
    free_.push_back(page);
  }
  std::uint8_t* page = free_.back();
  free_.pop_back();
  pages_.at(page).references = 1;
  return page;
}

void KvCache::release(std::uint8_t* page) noexcept {
  if (--pages_.at(page).references == 0) free_.push_back(page);
}

std::size_t KvCache::trim() {
  const std::size_t bytes = free_.size() * page_bytes_;
  for (const std::uint8_t* page : free_) pages_.erase(page);
  free_.clear();
  return bytes;
}

std::size_t KvCache::references(const std::uint8_t* page) const {
  return pages_.at(page).references;
}

void KvCache::commit(std::int32_t sequence, std::size_t length) { find(sequence).length = length; }

std::uint8_t* const* KvCache::pages(std::int32_t sequence) const {
  return find(sequence).pages.data();
}

}  // namespace pocketr1
