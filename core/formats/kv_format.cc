#include "formats/kv_format.h"

#include <string>
#include <string_view>

#include "base/error.h"

namespace pocketr1 {

KvFormat parse_kv_format(const char* text) {
  const std::string_view name(text);
  if (name == "f32") return KvFormat::f32;
  if (name == "f16") return KvFormat::f16;
  if (name == "int8") return KvFormat::int8;
  throw Error("usage-kv-format", "kv_format",
              "'" + std::string(name) + "' is none of f32, f16, int8");
}

}  // namespace pocketr1
