// A safetensors file as it comes from the network.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "bundle/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first byte: kilobytes of data behind the header.
  if (size == 0) return 0;
  const std::string_view header(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::uint64_t begin = 8 + header.size();
  const std::uint64_t end = begin + std::uint64_t{data[0]} * 1024;
  try {
    std::uint64_t filled = begin;
    for (const auto& entry :
         pocketr1::parse_safetensors_header(header, begin, end, "x.safetensors")) {
      if (entry.begin != filled || entry.end < entry.begin) std::abort();
      filled = entry.end;
    }
    if (filled != end) std::abort();
  } catch (const pocketr1::Error& error) {
    if (error.code() != "safetensors-invalid" || error.where() != "x.safetensors") std::abort();
  }
  return 0;
}
