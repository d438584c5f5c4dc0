#include "bundle/safetensors.h"

#include <string>

#include "check.h"
#include "temporary.h"

using pocketr1::Error;
using pocketr1::File;
using pocketr1::parse_safetensors_header;
using pocketr1::read_safetensors_header;
using pocketr1::test::TemporaryDirectory;

namespace {

std::string with_length(const std::string& header, const std::string& data) {
  std::string file;
  for (unsigned i = 0; i < 8; ++i) file.push_back(static_cast<char>(header.size() >> (8 * i)));
  return file + header + data;
}

// The reason a header of a file with `data` bytes of data is refused; "" where it is accepted.
std::string complaint(const std::string& header, std::uint64_t data) {
  try {
    parse_safetensors_header(header, 100, 100 + data, "x.safetensors");
  } catch (const Error& error) {
    if (error.code() != "safetensors-invalid" || error.where() != "x.safetensors")
      return "misnamed";
    return error.reason();
  }
  return "";
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape +
         ", \"data_offsets\": " + offsets + "}}";
}

}  // namespace

TEST(reads_entries_in_the_order_of_their_data) {
  const TemporaryDirectory temporary;
  const std::string path = temporary.write(
      "x.safetensors",
      with_length(R"({"__metadata__": {"format": "pt"},)"
                  R"("b": {"dtype": "F32", "shape": [2], "data_offsets": [6, 14]},)"
                  R"("a": {"dtype": "BF16", "shape": [3, 1], "data_offsets": [0, 6]}}   )",
                  std::string(14, 'x')));
  const auto file = File::open(path, "safetensors-unreadable");
  const auto entries = read_safetensors_header(*file);
  CHECK_EQ(entries.size(), 2u);
  CHECK_EQ(entries[0].name, "a");
  CHECK_EQ(entries[0].dtype, "BF16");
  CHECK(entries[0].shape == (std::vector<std::uint64_t>{3, 1}));
  CHECK_EQ(entries[0].begin, file->size() - 14);
  CHECK_EQ(entries[1].name, "b");
  CHECK_EQ(entries[1].end, file->size());
}

TEST(scalars_empty_tensors_and_small_types_are_fine) {
  CHECK_EQ(complaint(one("F64", "[]", "[0, 8]"), 8), "");
  CHECK_EQ(complaint(one("F32", "[0, 9223372036854775807]", "[0, 0]"), 0), "");
  CHECK_EQ(complaint(one("F4", "[3, 2]", "[0, 3]"), 3), "");
  CHECK_EQ(complaint(one("F8_E4M3", "[128, 2]", "[0, 256]"), 256), "");
  CHECK_EQ(complaint("{}", 0), "");
}

TEST(refuses_what_type_and_shape_do_not_account_for) {
  CHECK_EQ(complaint(one("F32", "[2]", "[0, 4]"), 4),
           "header: a.data_offsets: span 4 bytes, but type and shape need 8");
  CHECK_EQ(complaint(one("Q4_0", "[2]", "[0, 4]"), 4),
           "header: a.dtype: is the unknown type \"Q4_0\"");
  CHECK_EQ(complaint(one("U8", "[4294967296, 4294967296]", "[0, 0]"), 0),
           "header: a.shape: its product does not fit in 63 bits");
  CHECK_EQ(complaint(one("F32", "[576460752303423488]", "[0, 0]"), 0),
           "header: a.shape: its product does not fit in 63 bits");
  CHECK_EQ(complaint(one("F4", "[3]", "[0, 1]"), 1), "header: a.shape: does not fill whole bytes");
  CHECK_EQ(complaint(one("U8", "[-1]", "[0, 0]"), 0),
           "header: a.shape[0]: must not be negative, is -1");
  CHECK_EQ(complaint(one("U8", "[1.0]", "[0, 1]"), 1),
           "header: a.shape[0]: must be an integer of at most 64 bits");
}

TEST(refuses_offsets_that_leave_the_file_or_each_other) {
  CHECK_EQ(complaint(one("U8", "[8]", "[0, 8]"), 7),
           "header: a.data_offsets: must be in order and within the file's 7 bytes of data, are 0 "
           "and 8");
  CHECK(complaint(one("U8", "[1]", "[2, 1]"), 8).find("must be in order") != std::string::npos);
  CHECK(complaint(one("U8", "[1]", "[0, 1, 2]"), 8).find("two offsets") != std::string::npos);
  CHECK_EQ(complaint(one("U8", "[7]", "[0, 7]"), 8),
           "the file has 108 bytes, its tensors end at byte 107");
  const auto two = [](const std::string& second) {
    return R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},)"
           R"("b": {"dtype": "U8", "shape": [4], "data_offsets": )" +
           second + "}}";
  };
  CHECK_EQ(complaint(two("[4, 8]"), 8), "");
  CHECK_EQ(complaint(two("[3, 7]"), 7), "tensor \"b\" overlaps the one before it, at byte 103");
  CHECK_EQ(complaint(two("[5, 9]"), 9), "tensor \"b\" leaves a hole before it, at byte 105");
}

TEST(refuses_duplicate_missing_and_unknown_fields) {
  CHECK(complaint(R"({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]},)"
                  R"("a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})",
                  0)
            .find("duplicate key \"a\"") != std::string::npos);
  CHECK_EQ(complaint(R"({"a": {"dtype": "U8", "shape": [0]}})", 0),
           "header: a: has no \"data_offsets\"");
  CHECK(complaint(R"({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0], "x": 1}})", 0)
            .find("unknown key \"x\"") != std::string::npos);
  CHECK_EQ(complaint(R"({"__metadata__": {"a": 1}})", 0),
           "header: __metadata__.a: must be a string, is a number");
  CHECK_EQ(complaint(" {}", 0), "header: byte 0: the header is not an object");
}

TEST(a_header_longer_than_the_file_or_the_limit_is_refused_unread) {
  const auto code_of = [](const std::string& content) -> std::string {
    const TemporaryDirectory temporary;
    const std::string path = temporary.write("x.safetensors", content);
    try {
      read_safetensors_header(*File::open(path, "safetensors-unreadable"));
    } catch (const Error& error) {
      return error.where() == path ? error.reason() : "misnamed";
    }
    return "";
  };
  const std::string whole = with_length("{}", "");
  CHECK_EQ(code_of(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(!code_of(whole.substr(0, size)).empty());
  }
  CHECK(code_of(std::string(16, '\xFF')).find("at most 67108864 are read") != std::string::npos);
}

TEST(what_is_not_a_regular_file_is_refused) {
  CHECK_ERROR(File::open("/", "safetensors-unreadable"), "safetensors-unreadable");
  CHECK_ERROR(File::open("/dev/null", "safetensors-unreadable"), "safetensors-unreadable");
  CHECK_ERROR(File::open("/nonexistent/file", "safetensors-unreadable"), "safetensors-unreadable");
  CHECK_ERROR(File::open(std::string("/etc/passwd\0x", 13), "safetensors-unreadable"),
              "safetensors-unreadable");
}
