// A strict JSON reader (RFC 8259) for files nobody vouches for.
//
// A parsed text is an immutable tree; `Json` is a cheap handle on one value of it, keeps the tree
// alive, and knows where it stands. Every error is Error("json-invalid", where, reason), `where`
// being "byte 17" of a malformed text, or the value that a caller cannot use:
// "model.layers[3].heads", "top level".
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pocketr1 {

namespace json_detail {
struct Tree;
struct Node;
}  // namespace json_detail

struct JsonLimits {
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t values = std::size_t{1} << 20;  // of all kinds; each takes about 40 bytes
  unsigned depth = 64;
};

class Json {
 public:
  enum class Type : std::uint8_t { null, boolean, number, string, array, object };

  // The value of a whole text. Refuses invalid UTF-8, duplicate keys, lone surrogates, numbers
  // outside the range of a double, anything behind the value, and texts beyond the limits.
  static Json parse(std::string_view text, const JsonLimits& limits = {});

  Type type() const;
  bool is_null() const { return type() == Type::null; }
  bool is_bool() const { return type() == Type::boolean; }
  bool is_number() const { return type() == Type::number; }
  bool is_string() const { return type() == Type::string; }
  bool is_array() const { return type() == Type::array; }
  bool is_object() const { return type() == Type::object; }
  // A number written without fraction or exponent that fits in 64 signed bits.
  bool is_integer() const;

  // Each throws where the value is of another type. A string lives as long as any handle on its
  // tree.
  bool boolean() const;
  double number() const;
  std::int64_t integer() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  std::uint64_t unsigned_integer() const;  // 0 .. 2^63 - 1
  std::string_view string() const;

  // Elements of an array, or members of an object in the order of the text.
  std::size_t size() const;
  Json operator[](std::size_t index) const;
  // The member of that name; at() throws where it is missing.
  Json at(std::string_view key) const;
  std::optional<Json> find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key).has_value(); }
  // Throws where the object has a member of another name.
  void only(std::initializer_list<std::string_view> keys) const;

  // The name of this member of an object; empty for an element of an array and for the whole.
  std::string_view key() const;
  // Where the value stands: "model.layers[3].heads"; empty for the whole.
  std::string path() const;
  // Its first byte in the text and the one behind its last.
  std::pair<std::size_t, std::size_t> extent() const;
  // Throws the error of a value that cannot be used.
  [[noreturn]] void fail(const std::string& reason) const;

  class Iterator;
  Iterator begin() const;
  Iterator end() const;

 private:
  Json(std::shared_ptr<const json_detail::Tree> tree, std::uint32_t index)
      : tree_(std::move(tree)), index_(index) {}
  const json_detail::Node& node() const;
  const json_detail::Node& expect(Type type) const;
  Json child(std::uint32_t slot) const;

  std::shared_ptr<const json_detail::Tree> tree_;
  std::uint32_t index_;
};

// for (const Json value : array_or_object)
class Json::Iterator {
 public:
  Iterator(Json container, std::size_t position)
      : container_(std::move(container)), position_(position) {}
  Json operator*() const { return container_[position_]; }
  Iterator& operator++() {
    ++position_;
    return *this;
  }
  bool operator!=(const Iterator& other) const { return position_ != other.position_; }

 private:
  Json container_;
  std::size_t position_;
};

}  // namespace pocketr1
