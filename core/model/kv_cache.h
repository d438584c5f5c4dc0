// K/V pages and the sequences that own them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
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
  // Of all pages ever taken from the system, used or free.
  std::size_t bytes() const { return pages_.size() * page_bytes_; }
  // Bytes from the start of a page to a layer's first K block; its heads follow, K then V.
  std::size_t layer_offset(std::size_t layer) const { return layer_offsets_[layer]; }

  // Every call on an unknown id throws Error("usage-sequence").
  std::int32_t create();
  void free(std::int32_t sequence);
  std::size_t length(std::int32_t sequence) const;
  // Forgets all tokens from `length` on and gives their pages back.
  void truncate(std::int32_t sequence, std::size_t length);

  // Makes room for tokens up to `length`, beyond the sequence's own; throws Error("context-full")
  // above max_context and Error("memory") where the system has none left. Pages reserved and not
  // committed go back with the next truncate().
  void reserve(std::int32_t sequence, std::size_t length);
  // Tokens up to `length` are written.
  void commit(std::int32_t sequence, std::size_t length);
  std::uint8_t* const* pages(std::int32_t sequence) const;

 private:
  struct Sequence {
    std::vector<std::uint8_t*> pages;
    std::size_t length = 0;
  };
  Sequence& find(std::int32_t sequence);
  const Sequence& find(std::int32_t sequence) const;

  KvFormat format_;
  std::size_t max_context_;
  std::size_t page_bytes_ = 0;
  std::vector<std::size_t> layer_offsets_;
  std::vector<AlignedBuffer<std::uint8_t>> pages_;
  std::vector<std::uint8_t*> free_;
  std::map<std::int32_t, Sequence> sequences_;
  std::int32_t next_id_ = 0;
};

}  // namespace pocketr1
