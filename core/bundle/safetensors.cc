#include "bundle/safetensors.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"

namespace pocketr1 {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

constexpr std::array<std::pair<std::string_view, unsigned>, 22> kDtypeBits{{
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},
    {"F16", 16},    {"BF16", 16},       {"I32", 32},        {"U32", 32},    {"F32", 32},
    {"I64", 64},    {"U64", 64},        {"F64", 64},        {"C64", 64},    {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6},
}};

// Bytes of a tensor, where they can be counted in 63 bits.
std::uint64_t tensor_bytes(const Json& entry, const SafetensorsEntry& tensor) {
  const auto row = std::find_if(kDtypeBits.begin(), kDtypeBits.end(),
                                [&](const auto& known) { return known.first == tensor.dtype; });
  if (row == kDtypeBits.end()) {
    entry.at("dtype").fail("is the unknown type \"" + printable(tensor.dtype) + "\"");
  }
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return 0;
  std::uint64_t bits = row->second;
  for (const std::uint64_t dimension : tensor.shape) {
    if (bits > INT64_MAX / dimension) entry.at("shape").fail("its product does not fit in 63 bits");
    bits *= dimension;
  }
  if (bits % 8 != 0) entry.at("shape").fail("does not fill whole bytes");
  return bits / 8;
}

SafetensorsEntry read_entry(const Json& entry, std::uint64_t data_begin, std::uint64_t data_size) {
  SafetensorsEntry tensor;
  entry.only({"dtype", "shape", "data_offsets"});
  tensor.name = entry.key();
  tensor.dtype = entry.at("dtype").string();
  for (const Json dimension : entry.at("shape")) {
    tensor.shape.push_back(dimension.unsigned_integer());
  }
  const Json offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) offsets.fail("must be two offsets");
  const std::uint64_t begin = offsets[0].unsigned_integer();
  const std::uint64_t end = offsets[1].unsigned_integer();
  if (begin > end || end > data_size) {
    offsets.fail("must be in order and within the file's " + std::to_string(data_size) +
                 " bytes of data, are " + std::to_string(begin) + " and " + std::to_string(end));
  }
  const std::uint64_t bytes = tensor_bytes(entry, tensor);
  if (end - begin != bytes) {
    offsets.fail("span " + std::to_string(end - begin) + " bytes, but type and shape need " +
                 std::to_string(bytes));
  }
  tensor.begin = data_begin + begin;
  tensor.end = data_begin + end;
  return tensor;
}

void check_metadata(const Json& metadata) {
  if (metadata.is_null()) return;
  if (!metadata.is_object()) metadata.fail("must be an object of strings");
  for (const Json value : metadata) value.string();
}

// `tensors` are sorted by offset.
void check_filled(const std::vector<SafetensorsEntry>& tensors, std::uint64_t data_begin,
                  std::uint64_t file_size, const std::string& file_name) {
  std::uint64_t filled = data_begin;
  for (const SafetensorsEntry& tensor : tensors) {
    if (tensor.begin != filled) {
      throw Error("safetensors-invalid", file_name,
                  "tensor \"" + printable(tensor.name) +
                      (tensor.begin < filled ? "\" overlaps the one before it"
                                             : "\" leaves a hole before it") +
                      ", at byte " + std::to_string(tensor.begin));
    }
    filled = tensor.end;
  }
  if (filled != file_size) {
    throw Error("safetensors-invalid", file_name,
                "the file has " + std::to_string(file_size) + " bytes, its tensors end at byte " +
                    std::to_string(filled));
  }
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view text,
                                                       std::uint64_t data_begin,
                                                       std::uint64_t file_size,
                                                       const std::string& file_name) {
  std::vector<SafetensorsEntry> tensors;
  try {
    if (!text.starts_with('{'))
      throw Error("json-invalid", "byte 0", "the header is not an object");
    const Json header = Json::parse(text);
    for (const Json entry : header) {
      if (entry.key() == "__metadata__") {
        check_metadata(entry);
      } else {
        tensors.push_back(read_entry(entry, data_begin, file_size - data_begin));
      }
    }
  } catch (const Error& error) {
    throw Error("safetensors-invalid", file_name, std::string("header: ") + error.what());
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_filled(tensors, data_begin, file_size, file_name);
  return tensors;
}

std::vector<SafetensorsEntry> read_safetensors_header(const File& file) {
  const auto fail = [&](const std::string& reason) {
    throw Error("safetensors-invalid", file.name(), reason);
  };
  if (file.size() < kLengthBytes) fail("too short for a safetensors header");
  std::array<std::uint8_t, kLengthBytes> length_bytes{};
  file.read(0, length_bytes.data(), length_bytes.size());
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes.size(); ++i) {
    length |= std::uint64_t{length_bytes[i]} << (8 * i);
  }
  if (length > kLargestSafetensorsHeader) {
    fail("its header claims " + std::to_string(length) + " bytes; at most " +
         std::to_string(kLargestSafetensorsHeader) + " are read");
  }
  if (length > file.size() - kLengthBytes) {
    fail("its header claims " + std::to_string(length) + " bytes, the file has " +
         std::to_string(file.size()));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read(kLengthBytes, text.data(), text.size());
  return parse_safetensors_header(text, kLengthBytes + length, file.size(), file.name());
}

}  // namespace pocketr1
