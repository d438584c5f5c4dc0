// K/V pages and the sequences that share them: pages are counted by reference and copied on write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/system_memory.h"
#include "formats/kv_format.h"
#include "model/spec.h"

namespace pocketr1 {

class KvCache {
 public:
  KvCache(const ModelSpec& spec, KvFormat format, std::size_t max_context);

  KvFormat format() const { return format_; }
  std::size_t max_context() const { return max_context_; }
  // Of one page: kPageTokens tokens, all layers. The same on every machine.
  std::size_t page_bytes() const { return page_bytes_; }
  // Of all pages taken from the system, used or free; a shared one counts once.
  std::size_t bytes() const { return pages_.size() * page_bytes_; }
  // Bytes from the start of a page to a layer's first K block; its heads follow, K then V.
  std::size_t layer_offset(std::size_t layer) const { return layer_offsets_[layer]; }

  // Every call on an unknown id throws Error("usage-sequence").
  std::int32_t create();
  // A new sequence that begins with the first `length` tokens of another and shares their pages,
  // the partial last one too. Throws Error("usage-sequence") for more tokens than there are.
  std::int32_t fork(std::int32_t sequence, std::size_t length);
  void free(std::int32_t sequence);
  std::size_t length(std::int32_t sequence) const;
  // Forgets all tokens from `length` on and gives their pages back.
  void truncate(std::int32_t sequence, std::size_t length);

  // Makes room for tokens up to `length`, beyond the sequence's own, in pages that no other
  // sequence sees: a shared partial page is copied whole, for formats interleave tokens. Throws
  // Error("context-full") above max_context and Error("memory") where the system has none left.
  // Pages reserved and not committed go back with the next truncate().
  void reserve(std::int32_t sequence, std::size_t length);
  // Tokens up to `length` are written.
  void commit(std::int32_t sequence, std::size_t length);
  std::uint8_t* const* pages(std::int32_t sequence) const;

  // Gives pages that no sequence uses back to the system; returns their bytes.
  std::size_t trim();
  std::size_t free_pages() const { return free_.size(); }
  // How many sequences use a page.
  std::size_t references(const std::uint8_t* page) const;

 private:
  struct Page {
    SystemMemory memory;
    std::size_t references = 0;
  };
  struct Sequence {
    std::vector<std::uint8_t*> pages;
    std::size_t length = 0;
  };
  Sequence& find(std::int32_t sequence);
  const Sequence& find(std::int32_t sequence) const;
  static std::size_t pages_of(std::size_t length) {
    return (length + kPageTokens - 1) / kPageTokens;
  }
  // A page of one reference; throws std::bad_alloc.
  std::uint8_t* take();
  void release(std::uint8_t* page) noexcept;

  KvFormat format_;
  std::size_t max_context_;
  std::size_t page_bytes_ = 0;
  std::vector<std::size_t> layer_offsets_;
  std::unordered_map<const std::uint8_t*, Page> pages_;
  std::vector<std::uint8_t*> free_;  // has room for all pages, so that release() cannot fail
  std::map<std::int32_t, Sequence> sequences_;
  std::int32_t next_id_ = 0;
};

}  // namespace pocketr1
