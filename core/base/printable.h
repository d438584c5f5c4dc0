// Untrusted text made fit for an error message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pocketr1 {

// `text` without control characters (each becomes '?'), cut at a character boundary to at most
// `limit` bytes, with "..." behind it when cut.
inline std::string printable(std::string_view text, std::size_t limit = 96) {
  const bool cut = text.size() > limit;
  std::size_t size = cut ? limit : text.size();
  while (cut && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  std::string result(text.substr(0, size));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  if (cut) result += "...";
  return result;
}

}  // namespace pocketr1
