#include "base/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace pocketr1 {
namespace json_detail {

struct Slice {
  std::uint32_t offset;
  std::uint32_t size;
};

struct Node {
  Json::Type type = Json::Type::null;
  bool integral = false;     // number: `integer` is set, else `real`
  std::uint32_t parent = 0;  // the root is its own parent
  Slice key{0, 0};           // of Tree::characters
  Slice extent{0, 0};        // of the text
  union {
    bool boolean;
    std::int64_t integer;
    double real;
    Slice slice;  // string: of Tree::characters; array, object: of Tree::children
  };
  Node() : integer(0) {}
};

struct Tree {
  std::vector<Node> nodes;
  // Per array its elements; per object its members in order, then the same sorted by key.
  std::vector<std::uint32_t> children;
  std::string characters;  // of all strings and keys, unescaped

  std::string_view text(Slice slice) const {
    return std::string_view(characters).substr(slice.offset, slice.size);
  }
};

}  // namespace json_detail

namespace {

using json_detail::Node;
using json_detail::Slice;
using json_detail::Tree;

std::string_view type_name(Json::Type type) {
  constexpr std::array<std::string_view, 6> kNames{"null",     "true or false", "a number",
                                                   "a string", "an array",      "an object"};
  return kNames[static_cast<std::size_t>(type)];
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

// Bytes of the well-formed UTF-8 sequence at the start of `text` (Unicode, table 3-7); 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned least = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned most = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return byte(1) >= least && byte(1) <= most && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned least = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned most = lead == 0xF4 ? 0x8F : 0xBF;  // up to U+10FFFF
    return byte(1) >= least && byte(1) <= most && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

class Parser {
 public:
  Parser(std::string_view text, const JsonLimits& limits)
      : text_(text), limits_(limits), tree_(std::make_shared<Tree>()) {}

  std::shared_ptr<const Tree> parse() {
    if (text_.size() > std::min<std::size_t>(limits_.bytes, UINT32_MAX)) {
      throw Error("json-invalid", "top level",
                  "longer than " + std::to_string(limits_.bytes) + " bytes");
    }
    skip_space();
    value(0, Slice{0, 0}, 0);
    skip_space();
    if (at_ != text_.size()) fail("something follows the value");
    return std::move(tree_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { fail_at(at_, reason); }
  [[noreturn]] static void fail_at(std::size_t offset, const std::string& reason) {
    throw Error("json-invalid", "byte " + std::to_string(offset), reason);
  }

  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (next_is(' ') || next_is('\n') || next_is('\r') || next_is('\t')) ++at_;
  }

  Slice text_from(std::size_t begin) const {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_ - begin)};
  }

  // Returns the index of the new node.
  std::uint32_t value(std::uint32_t parent, Slice key, unsigned depth) {
    if (tree_->nodes.size() >= std::min<std::size_t>(limits_.values, UINT32_MAX / 4)) {
      fail("more than " + std::to_string(limits_.values) + " values");
    }
    const auto index = static_cast<std::uint32_t>(tree_->nodes.size());
    tree_->nodes.emplace_back();
    Node node;
    node.parent = parent;
    node.key = key;
    const std::size_t begin = at_;
    if (at_ == text_.size()) fail("the text ends where a value should stand");
    switch (text_[at_]) {
      case '{':
      case '[':
        if (depth == limits_.depth) {
          fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
        }
        node.type = text_[at_] == '{' ? Json::Type::object : Json::Type::array;
        node.slice = container(index, node.type, depth + 1);
        break;
      case '"':
        node.type = Json::Type::string;
        node.slice = string();
        break;
      case 't':
      case 'f':
        node.type = Json::Type::boolean;
        node.boolean = text_[at_] == 't';
        word(node.boolean ? "true" : "false");
        break;
      case 'n':
        word("null");
        break;
      default:
        number(node);
    }
    node.extent = text_from(begin);
    tree_->nodes[index] = node;
    return index;
  }

  void word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) fail("not a value");
    at_ += expected.size();
  }

  void number(Node& node) {
    const std::size_t begin = at_;
    const auto digits = [&] {
      const std::size_t first = at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
      return at_ != first;
    };
    take('-');
    if (next_is('0')) {
      ++at_;
    } else if (!digits()) {
      fail_at(begin, "not a value");
    }
    bool integral = true;
    if (take('.')) {
      integral = false;
      if (!digits()) fail("a number without digits behind its point");
    }
    if (take('e') || take('E')) {
      integral = false;
      if (!take('+')) take('-');
      if (!digits()) fail("a number without digits in its exponent");
    }
    node.type = Json::Type::number;
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    // "-0" stays a double, which can hold its sign.
    if (integral && text_.substr(begin, at_ - begin) != "-0" &&
        std::from_chars(first, last, node.integer).ec == std::errc()) {
      node.integral = true;
      return;
    }
    if (std::from_chars(first, last, node.real).ec != std::errc()) {
      fail_at(begin, "a number outside the range of a double");
    }
  }

  std::uint32_t four_hex_digits() {
    std::uint32_t result = 0;
    const char* first = text_.data() + at_;
    const std::string_view digits = text_.substr(at_, 4);
    if (digits.size() != 4 || digits[0] == '-' ||
        std::from_chars(first, first + 4, result, 16).ptr != first + 4) {
      fail("\\u without four hexadecimal digits");
    }
    at_ += 4;
    return result;
  }

  std::uint32_t escaped_point() {
    const std::uint32_t high = four_hex_digits();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high < 0xDC00 && take('\\') && take('u')) {
      const std::uint32_t low = four_hex_digits();
      if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    fail("half of a surrogate pair");
  }

  Slice string() {
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t begin = at_;
    if (!take('"')) fail("no string where a key should stand");
    std::string& out = tree_->characters;
    const std::size_t first = out.size();
    for (;;) {
      if (at_ == text_.size()) fail_at(begin, "a string without end");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(out.size() - first)};
      }
      if (c == '\\') {
        ++at_;
        if (take('u')) {
          append_utf8(out, escaped_point());
          continue;
        }
        const std::size_t which = at_ < text_.size() ? kEscapes.find(text_[at_]) : kEscapes.npos;
        if (which == kEscapes.npos) fail("an unknown escape");
        out.push_back(kMeanings[which]);
        ++at_;
        continue;
      }
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      const std::size_t length = utf8_length(text_.substr(at_, 4));
      if (length == 0) fail("invalid UTF-8");
      out.append(text_.substr(at_, length));
      at_ += length;
    }
  }

  // Returns the slice of Tree::children that holds the elements or members.
  Slice container(std::uint32_t index, Json::Type type, unsigned depth) {
    const bool object = type == Json::Type::object;
    const char close = object ? '}' : ']';
    const std::size_t begin = at_++;
    const std::size_t first_pending = pending_.size();
    skip_space();
    if (!take(close)) {
      do {
        skip_space();
        Slice key{0, 0};
        if (object) {
          key = string();
          skip_space();
          if (!take(':')) fail("no ':' behind a key");
          skip_space();
        }
        pending_.push_back(value(index, key, depth));
        skip_space();
      } while (take(','));
      if (!take(close)) {
        if (at_ == text_.size())
          fail_at(begin, object ? "an object without end" : "an array without end");
        fail(std::string("neither ',' nor '") + close + "'");
      }
    }
    const auto mine = pending_.begin() + static_cast<std::ptrdiff_t>(first_pending);
    const Slice slice{static_cast<std::uint32_t>(tree_->children.size()),
                      static_cast<std::uint32_t>(pending_.end() - mine)};
    tree_->children.insert(tree_->children.end(), mine, pending_.end());
    if (object) {
      const auto key_of = [&](std::uint32_t child) { return tree_->text(tree_->nodes[child].key); };
      std::sort(mine, pending_.end(),
                [&](std::uint32_t a, std::uint32_t b) { return key_of(a) < key_of(b); });
      const auto twice = std::adjacent_find(
          mine, pending_.end(),
          [&](std::uint32_t a, std::uint32_t b) { return key_of(a) == key_of(b); });
      if (twice != pending_.end()) {
        fail_at(begin, "duplicate key \"" + printable(key_of(*twice)) + "\" in the object");
      }
      tree_->children.insert(tree_->children.end(), mine, pending_.end());
    }
    pending_.resize(first_pending);
    return slice;
  }

  std::string_view text_;
  const JsonLimits& limits_;
  std::shared_ptr<Tree> tree_;
  std::vector<std::uint32_t> pending_;  // children of the containers still open
  std::size_t at_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text, const JsonLimits& limits) {
  return Json(Parser(text, limits).parse(), 0);
}

const Node& Json::node() const { return tree_->nodes[index_]; }

const Node& Json::expect(Type type) const {
  if (node().type != type) {
    fail("must be " + std::string(type_name(type)) + ", is " + std::string(type_name(node().type)));
  }
  return node();
}

Json Json::child(std::uint32_t slot) const { return Json(tree_, tree_->children[slot]); }

Json::Type Json::type() const { return node().type; }

bool Json::is_integer() const { return node().type == Type::number && node().integral; }

bool Json::boolean() const { return expect(Type::boolean).boolean; }

double Json::number() const {
  const Node& n = expect(Type::number);
  return n.integral ? static_cast<double>(n.integer) : n.real;
}

std::int64_t Json::integer() const {
  if (!expect(Type::number).integral) fail("must be an integer of at most 64 bits");
  return node().integer;
}

std::int64_t Json::integer(std::int64_t least, std::int64_t most) const {
  const std::int64_t value = integer();
  if (value < least || value > most) {
    fail("must be in " + std::to_string(least) + ".." + std::to_string(most) + ", is " +
         std::to_string(value));
  }
  return value;
}

std::uint64_t Json::unsigned_integer() const {
  if (integer() < 0) fail("must not be negative, is " + std::to_string(integer()));
  return static_cast<std::uint64_t>(integer());
}

std::string_view Json::string() const { return tree_->text(expect(Type::string).slice); }

std::size_t Json::size() const {
  return is_object() ? node().slice.size : expect(Type::array).slice.size;
}

Json Json::operator[](std::size_t index) const {
  if (index >= size()) {
    fail("has " + std::to_string(size()) + " values, none with index " + std::to_string(index));
  }
  return child(node().slice.offset + static_cast<std::uint32_t>(index));
}

std::optional<Json> Json::find(std::string_view key) const {
  const Slice members = expect(Type::object).slice;
  const auto first = tree_->children.begin() + members.offset + members.size;
  const auto last = first + members.size;
  const auto key_of = [&](std::uint32_t member) { return tree_->text(tree_->nodes[member].key); };
  const auto found = std::lower_bound(
      first, last, key,
      [&](std::uint32_t member, std::string_view wanted) { return key_of(member) < wanted; });
  if (found == last || key_of(*found) != key) return std::nullopt;
  return Json(tree_, *found);
}

Json Json::at(std::string_view key) const {
  const std::optional<Json> member = find(key);
  if (!member) fail("has no \"" + printable(key) + "\"");
  return *member;
}

void Json::only(std::initializer_list<std::string_view> keys) const {
  expect(Type::object);
  for (const Json member : *this) {
    if (std::find(keys.begin(), keys.end(), member.key()) == keys.end()) {
      fail("has an unknown key \"" + printable(member.key()) + "\"");
    }
  }
}

std::string_view Json::key() const { return tree_->text(node().key); }

std::string Json::path() const {
  if (index_ == 0) return "";
  const Json parent(tree_, node().parent);
  const std::string above = parent.path();
  if (parent.is_object()) return above + (above.empty() ? "" : ".") + printable(key(), 64);
  // Nodes are numbered in the order of the text.
  const auto first = tree_->children.begin() + parent.node().slice.offset;
  const auto position = std::lower_bound(first, first + parent.node().slice.size, index_) - first;
  return above + "[" + std::to_string(position) + "]";
}

std::pair<std::size_t, std::size_t> Json::extent() const {
  const Slice extent = node().extent;
  return {extent.offset, std::size_t{extent.offset} + extent.size};
}

void Json::fail(const std::string& reason) const {
  const std::string where = path();
  throw Error("json-invalid", where.empty() ? "top level" : where, reason);
}

Json::Iterator Json::begin() const { return Iterator(*this, 0); }
Json::Iterator Json::end() const { return Iterator(*this, size()); }

}  // namespace pocketr1
