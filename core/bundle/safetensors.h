// The header of a safetensors file: 8 bytes little-endian length, then that many bytes of JSON.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/file.h"

namespace pocketr1 {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as written: "BF16", "F32", "U8", ...
  std::vector<std::uint64_t> shape;
  std::uint64_t begin;  // bytes from the start of the file
  std::uint64_t end;
};

inline constexpr std::uint64_t kLargestSafetensorsHeader = std::uint64_t{64} << 20;

// The entries in the order of their data, which fills the file behind the header without gap or
// overlap. Throws Error("safetensors-invalid", file, reason).
std::vector<SafetensorsEntry> read_safetensors_header(const File& file);

// The same for the JSON text alone, of a file of `file_size` bytes whose data starts at
// `data_begin`.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view text,
                                                       std::uint64_t data_begin,
                                                       std::uint64_t file_size,
                                                       const std::string& file_name);

}  // namespace pocketr1
