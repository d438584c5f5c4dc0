// Read-only files, whole or as a range of a larger one (an asset inside an Android package).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace pocketr1 {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A mapped byte range; unmapped when destroyed. A mapped file that shrinks raises SIGBUS on access:
// read() has no such trap.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  // Takes its pages out of this process's memory; they are read again when they are looked at.
  void forget() const noexcept;

 private:
  friend class File;
  void* base_ = nullptr;  // on a page boundary
  std::size_t base_size_ = 0;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

class File {
 public:
  // Errors carry `error_code` and name the file. Opening never blocks: what is not a regular file
  // is refused.
  static std::shared_ptr<const File> open(const std::string& path, std::string_view error_code);
  // Bytes [offset, offset + length) of an open file. The descriptor is duplicated: the caller keeps
  // its own.
  static std::shared_ptr<const File> from_descriptor(const std::string& name, int fd,
                                                     std::uint64_t offset, std::uint64_t length,
                                                     std::string_view error_code);

  const std::string& name() const { return name_; }
  // Bytes when it was opened.
  std::uint64_t size() const { return size_; }

  // Fills `out` with exactly `size` bytes; throws where the file holds fewer.
  void read(std::uint64_t offset, void* out, std::size_t size) const;
  // Any offset; the data pointer is aligned as the offset within the underlying file is.
  Mapping map(std::uint64_t offset, std::size_t size) const;

  // Where the range begins in the underlying file, in bytes.
  std::uint64_t origin() const { return offset_; }
  // The underlying file, opened once more to be read past the page cache; not valid() where the
  // system or the file system knows no such thing.
  Descriptor open_direct() const;
  // Asks the system to drop these bytes from the page cache.
  void drop_cache(std::uint64_t offset, std::uint64_t size) const noexcept;

  [[noreturn]] void fail(const std::string& reason) const;

 private:
  friend class Directory;
  File(std::string name, std::string_view error_code, Descriptor descriptor, std::uint64_t offset)
      : name_(std::move(name)),
        error_code_(error_code),
        descriptor_(std::move(descriptor)),
        offset_(offset) {}
  std::uint64_t check_regular() const;
  void check_range(std::uint64_t offset, std::uint64_t size) const;

  std::string name_;
  std::string error_code_;
  Descriptor descriptor_;
  std::uint64_t offset_ = 0;  // of the range, from the start of the underlying file
  std::uint64_t size_ = 0;
};

// A directory whose files are opened by names that must not lead out of it.
class Directory {
 public:
  // The path itself may lead through symbolic links.
  Directory(const std::string& path, std::string_view error_code);
  // `relative` is "a/b/c". Refused: absolute paths, empty, "." and ".." components, and any
  // component that is a symbolic link.
  std::shared_ptr<const File> open(std::string_view relative) const;
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(std::string_view relative, const std::string& reason) const;

  std::string path_;
  std::string error_code_;
  Descriptor descriptor_;
};

}  // namespace pocketr1
