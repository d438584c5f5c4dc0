// Any text through the JSON reader, and every value of what it accepts.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace {

void walk(const pocketr1::Json& value) {
  using Type = pocketr1::Json::Type;
  switch (value.type()) {
    case Type::array:
    case Type::object:
      for (const pocketr1::Json member : value) walk(member);
      break;
    case Type::string:
      static_cast<void>(value.string());
      break;
    case Type::number:
      static_cast<void>(value.is_integer() ? static_cast<double>(value.integer()) : value.number());
      break;
    default:
      break;
  }
  if (value.path().size() > (std::size_t{1} << 24)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    walk(pocketr1::Json::parse({reinterpret_cast<const char*>(data), size}));
  } catch (const pocketr1::Error&) {
  }
  return 0;
}
