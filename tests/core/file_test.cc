#include "bundle/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "check.h"
#include "temporary.h"

using pocketr1::Descriptor;
using pocketr1::Directory;
using pocketr1::Error;
using pocketr1::File;
using pocketr1::Mapping;
using pocketr1::test::TemporaryDirectory;

namespace {

constexpr const char* kCode = "bundle-unreadable";

std::string counted(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 >> 3);
  return text;
}

std::string read(const File& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  file.read(offset, text.data(), size);
  return text;
}

std::string mapped(const File& file, std::uint64_t offset, std::size_t size) {
  const Mapping mapping = file.map(offset, size);
  return {reinterpret_cast<const char*>(mapping.data()), mapping.size()};
}

// What the error says, after a check that it names `where`.
template <typename Call>
std::string refusal(const std::string& where, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.where() == where && error.code() == kCode ? error.reason() : "misnamed";
  }
  return "";
}

}  // namespace

TEST(any_range_reads_and_maps_the_same) {
  const TemporaryDirectory temporary;
  const std::string content = counted(20'000);
  const auto file = File::open(temporary.write("a", content), kCode);
  CHECK_EQ(file->size(), content.size());
  for (const std::uint64_t offset : {0, 1, 4095, 4096, 8191, 19'999, 20'000}) {
    for (const std::size_t size : {0, 1, 63, 4097, 20'000}) {
      if (offset + size > content.size()) continue;
      CHECK(read(*file, offset, size) == content.substr(offset, size));
      CHECK(mapped(*file, offset, size) == content.substr(offset, size));
    }
  }
}

TEST(a_range_of_a_descriptor_is_a_file_of_its_own) {
  const TemporaryDirectory temporary;
  const std::string content = counted(20'000);
  auto whole = std::make_unique<Descriptor>(
      ::open(temporary.write("package", content).c_str(), O_RDONLY | O_CLOEXEC));
  const auto file = File::from_descriptor("asset", whole->get(), 5001, 9000, kCode);
  CHECK_ERROR(File::from_descriptor("asset", whole->get(), 5001, 15'000, kCode), kCode);
  CHECK_ERROR(File::from_descriptor("asset", whole->get(), UINT64_MAX, 2, kCode), kCode);
  CHECK_ERROR(File::from_descriptor("asset", -1, 0, 0, kCode), kCode);
  whole.reset();
  CHECK_EQ(file->size(), 9000u);
  CHECK(read(*file, 0, 9000) == content.substr(5001, 9000));
  CHECK(mapped(*file, 7, 8000) == content.substr(5008, 8000));
}

TEST(what_lies_outside_the_file_is_neither_read_nor_mapped) {
  const TemporaryDirectory temporary;
  const std::string path = temporary.write("a", counted(100));
  const auto file = File::open(path, kCode);
  for (const auto& [offset, size] : std::initializer_list<std::pair<std::uint64_t, std::size_t>>{
           {0, 101}, {100, 1}, {101, 0}, {UINT64_MAX, 1}, {1, SIZE_MAX}}) {
    CHECK(refusal(path, [&, o = offset, s = size] { file->map(o, s); }).ends_with("its 100 bytes"));
    CHECK(refusal(path, [&, o = offset, s = size] {
            file->read(o, nullptr, s);
          }).ends_with("its 100 bytes"));
  }
}

TEST(a_file_that_shrinks_while_it_is_read_is_an_error) {
  const TemporaryDirectory temporary;
  const std::string path = temporary.write("a", counted(100));
  const auto file = File::open(path, kCode);
  std::filesystem::resize_file(path, 60);
  CHECK_EQ(read(*file, 0, 60).size(), 60u);
  CHECK_EQ(refusal(path, [&] { read(*file, 0, 100); }), "became shorter while it was read");
}

TEST(a_mapping_outlives_its_file_and_moves) {
  const TemporaryDirectory temporary;
  auto file = File::open(temporary.write("a", counted(100)), kCode);
  Mapping first = file->map(10, 50);
  file.reset();
  const Mapping second = std::move(first);
  CHECK(std::string(reinterpret_cast<const char*>(second.data()), second.size()) ==
        counted(100).substr(10, 50));
}

TEST(a_directory_opens_what_lies_in_it_and_nothing_else) {
  const TemporaryDirectory temporary;
  temporary.write("outside", "secret");
  temporary.write("inner/blocks/a", "a");
  const Directory directory(temporary.path("inner"), kCode);
  const auto file = directory.open("blocks/a");
  CHECK_EQ(file->size(), 1u);
  CHECK_EQ(file->name(), temporary.path("inner/blocks/a"));
  for (const std::string name : {"", "..", "../outside", "blocks/../blocks/a", "./blocks/a",
                                 "blocks//a", "/etc/passwd", "blocks/a/", "blocks/a/b"}) {
    CHECK_ERROR(directory.open(name), kCode);
  }
  CHECK_ERROR(directory.open(std::string("blocks/a\0", 9)), kCode);
  CHECK_EQ(refusal(temporary.path("inner/blocks"), [&] { directory.open("blocks"); }),
           "not a regular file");
}

TEST(a_directory_follows_no_link_inside_it) {
  const TemporaryDirectory temporary;
  temporary.write("outside/a", "secret");
  temporary.write("inner/a", "a");
  namespace fs = std::filesystem;
  fs::create_symlink(temporary.path("outside/a"), temporary.path("inner/link"));
  fs::create_symlink("a", temporary.path("inner/within"));
  fs::create_directory_symlink("../outside", temporary.path("inner/blocks"));
  fs::create_directory_symlink("inner", temporary.path("alias"));
  const Directory directory(temporary.path("alias"), kCode);  // the way to it may be a link
  CHECK_EQ(directory.open("a")->size(), 1u);
  for (const std::string name : {"link", "within", "blocks/a"}) {
    CHECK_EQ(refusal(temporary.path("alias/" + name), [&] { directory.open(name); }),
             "leads through a symbolic link");
  }
}

TEST(a_pipe_is_refused_without_waiting_for_its_writer) {
  const TemporaryDirectory temporary;
  const std::string path = temporary.path("pipe");
  CHECK_EQ(::mkfifo(path.c_str(), 0600), 0);
  CHECK_EQ(refusal(path, [&] { File::open(path, kCode); }), "not a regular file");
}
