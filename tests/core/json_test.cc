#include "base/json.h"

#include <cmath>
#include <string>

#include "check.h"

using pocketr1::Error;
using pocketr1::Json;
using pocketr1::JsonLimits;

namespace {

// The error's message, or "" where the text parses.
std::string complaint(std::string_view text, const JsonLimits& limits = {}) {
  try {
    Json::parse(text, limits);
  } catch (const Error& error) {
    return error.code() == "json-invalid" ? error.what() : "code " + error.code();
  }
  return "";
}

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST(reads_every_kind_of_value) {
  const Json json = Json::parse(
      R"( {"null": null, "yes": true, "no": false, "n": -12, "x": 2.5e-1, "s": "a\n\u00e9\ud83d\ude00\/",)"
      R"( "list": [1, [], {}]} )");
  CHECK(json.at("null").is_null());
  CHECK(json.at("yes").boolean());
  CHECK(!json.at("no").boolean());
  CHECK_EQ(json.at("n").integer(), -12);
  CHECK_EQ(json.at("n").number(), -12.0);
  CHECK_EQ(json.at("x").number(), 0.25);
  CHECK_EQ(json.at("s").string(), "a\n\xC3\xA9\xF0\x9F\x98\x80/");
  CHECK_EQ(json.at("list").size(), 3u);
  CHECK_EQ(json.at("list")[2].size(), 0u);
  CHECK(!json.contains("absent"));
}

TEST(members_keep_the_order_of_the_text) {
  std::string keys;
  for (const Json member : Json::parse(R"({"b": 1, "a": 2, "c": 3})")) keys += member.key();
  CHECK_EQ(keys, "bac");
}

TEST(integers_stay_exact_to_64_bits) {
  const Json json =
      Json::parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 1.0, -0]");
  CHECK_EQ(json[0].integer(), INT64_MAX);
  CHECK_EQ(json[1].integer(), INT64_MIN);
  CHECK(!json[2].is_integer());
  CHECK_EQ(json[2].number(), 9223372036854775808.0);
  CHECK_ERROR(json[2].integer(), "json-invalid");
  CHECK_ERROR(json[3].integer(), "json-invalid");
  CHECK(std::signbit(json[4].number()));
  CHECK_ERROR(json[1].unsigned_integer(), "json-invalid");
}

TEST(an_error_names_the_value_and_what_is_wrong) {
  const Json json = Json::parse(R"({"model": {"layers": [{"heads": 12}, {"heads": "12"}]}})");
  const auto what = [](auto&& read) -> std::string {
    try {
      read();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const Json layers = json.at("model").at("layers");
  CHECK_EQ(what([&] { layers[1].at("heads").integer(); }),
           "model.layers[1].heads: must be a number, is a string");
  CHECK_EQ(what([&] { layers[0].at("heads").integer(1, 8); }),
           "model.layers[0].heads: must be in 1..8, is 12");
  CHECK_EQ(what([&] { layers[0].at("kv_heads"); }), "model.layers[0]: has no \"kv_heads\"");
  CHECK_EQ(what([&] { layers[0].only({"kv_heads"}); }),
           "model.layers[0]: has an unknown key \"heads\"");
  CHECK_EQ(what([&] { layers[2]; }), "model.layers: has 2 values, none with index 2");
  CHECK_EQ(what([&] { json.string(); }), "top level: must be a string, is an object");
}

TEST(extent_gives_the_text_of_a_value) {
  const std::string text = R"({"a": 1, "model": {"x": [1, 2]} })";
  const auto [begin, end] = Json::parse(text).at("model").extent();
  CHECK_EQ(text.substr(begin, end - begin), R"({"x": [1, 2]})");
}

TEST(refuses_duplicate_keys_however_they_are_written) {
  CHECK_EQ(complaint(R"([{"a": 1, "b": 2, "\u0061": 3}])"),
           "byte 1: duplicate key \"a\" in the object");
}

TEST(refuses_what_is_not_json) {
  for (const char* text : {"",
                           " ",
                           "nul",
                           "tru",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e+",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "[1,]",
                           "[1 2]",
                           "{\"a\" 1}",
                           "{\"a\":}",
                           "{a: 1}",
                           "{\"a\": 1,}",
                           "[",
                           "{",
                           "\"",
                           "\"\\",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u-123\"",
                           "\"\\u+123\"",
                           "[1] 2",
                           "1 1",
                           "'a'",
                           "\"a\tb\"",
                           "\xEF\xBB\xBF[]",
                           "[1]\f",
                           "1e999",
                           "-1e999"}) {
    if (!complaint(text).starts_with("byte ")) {
      pocketr1::test::fail(__FILE__, __LINE__, std::string("accepted: ") + text);
    }
  }
}

TEST(refuses_malformed_utf8_and_lone_surrogates) {
  for (const char* text : {"\"\x80\"", "\"\xC0\xAF\"", "\"\xC1\xBF\"", "\"\xE0\x80\xAF\"",
                           "\"\xED\xA0\x80\"", "\"\xF0\x80\x80\x80\"", "\"\xF4\x90\x80\x80\"",
                           "\"\xF5\x80\x80\x80\"", "\"\xC3\"", "\"\xE2\x82\"", "\"\xC3"}) {
    CHECK(complaint(text).ends_with("invalid UTF-8"));
  }
  for (const char* text :
       {R"("\ud800")", R"("\udc00")", R"("\ud800\u0041")", R"("\ud800\ud800")"}) {
    CHECK(complaint(text).ends_with("half of a surrogate pair"));
  }
  CHECK_EQ(complaint("\"\xF4\x8F\xBF\xBF \xED\x9F\xBF \xEE\x80\x80\""), "");
}

TEST(keeps_a_nul_that_is_escaped) {
  const Json json = Json::parse(R"({"a\u0000b": "\u0000"})");
  CHECK_EQ(json[0].key().size(), 3u);
  CHECK_EQ(json[0].string().size(), 1u);
}

TEST(limits_depth_size_and_number_of_values) {
  CHECK_EQ(complaint(nested(64)), "");
  CHECK_EQ(complaint(nested(65)), "byte 64: nested deeper than 64 levels");
  CHECK(complaint(std::string(1 << 20, '[')).starts_with("byte 64: nested deeper"));
  CHECK_EQ(complaint("[1, 2]", {.bytes = 5}), "top level: longer than 5 bytes");
  // Small values cost more memory than text: a file of the largest size may not hold only those.
  std::string many = "[";
  for (int i = 0; i < (1 << 20); ++i) many += "0,";
  CHECK(complaint(many + "0]").ends_with("more than 1048576 values"));
  CHECK_EQ(complaint("[1, 2]", {.values = 2}), "byte 4: more than 2 values");
}

TEST(every_truncation_of_a_text_is_an_error) {
  const std::string text = R"({"a": [1.5e3, "x\u00e9\\", true, null], "b": {"c": -7}})";
  CHECK_EQ(complaint(text), "");
  for (std::size_t size = 0; size < text.size(); ++size) {
    CHECK(!complaint(std::string_view(text).substr(0, size)).empty());
  }
}

TEST(a_handle_keeps_its_tree_alive) {
  const Json value = Json::parse(R"({"a": ["kept"]})").at("a")[0];
  CHECK_EQ(value.string(), "kept");
}
