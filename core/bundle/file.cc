#include "bundle/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace pocketr1 {
namespace {

// NONBLOCK so that opening a pipe cannot hold us up.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

std::string describe(int error) { return std::system_category().message(error); }

int open_path(const std::string& path, int flags) {
  if (path.find('\0') == path.npos) return ::open(path.c_str(), flags);
  errno = EINVAL;
  return -1;
}

std::vector<std::string> components(std::string_view relative) {
  std::vector<std::string> result;
  for (;;) {
    const std::size_t slash = relative.find('/');
    result.emplace_back(relative.substr(0, slash));
    if (slash == relative.npos) return result;
    relative.remove_prefix(slash + 1);
  }
}

bool is_symlink(int directory, const std::string& name) {
  struct stat status{};
  return fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISLNK(status.st_mode);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Mapping::Mapping(Mapping&& other) noexcept { *this = std::move(other); }

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(base_size_, other.base_size_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) ::munmap(base_, base_size_);
}

void Mapping::forget() const noexcept {
  if (base_ != nullptr) ::madvise(base_, base_size_, MADV_DONTNEED);
}

std::shared_ptr<const File> File::open(const std::string& path, std::string_view error_code) {
  Descriptor descriptor(open_path(path, kOpenFlags));
  const int error = errno;
  std::shared_ptr<File> file(new File(path, error_code, std::move(descriptor), 0));
  if (!file->descriptor_.valid()) file->fail(describe(error));
  file->size_ = file->check_regular();
  return file;
}

std::shared_ptr<const File> File::from_descriptor(const std::string& name, int fd,
                                                  std::uint64_t offset, std::uint64_t length,
                                                  std::string_view error_code) {
  Descriptor descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  const int error = errno;
  std::shared_ptr<File> file(new File(name, error_code, std::move(descriptor), offset));
  if (!file->descriptor_.valid()) file->fail(describe(error));
  const std::uint64_t whole = file->check_regular();
  if (offset > whole || length > whole - offset) {
    file->fail("bytes " + std::to_string(offset) + " + " + std::to_string(length) +
               " lie outside the descriptor's file of " + std::to_string(whole) + " bytes");
  }
  file->size_ = length;
  return file;
}

std::uint64_t File::check_regular() const {
  struct stat status{};
  if (::fstat(descriptor_.get(), &status) != 0) fail(describe(errno));
  if (!S_ISREG(status.st_mode)) fail("not a regular file");
  return static_cast<std::uint64_t>(status.st_size);
}

void File::check_range(std::uint64_t offset, std::uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    fail("bytes " + std::to_string(offset) + " + " + std::to_string(size) + " lie outside its " +
         std::to_string(size_) + " bytes");
  }
}

void File::read(std::uint64_t offset, void* out, std::size_t size) const {
  check_range(offset, size);
  auto* bytes = static_cast<std::uint8_t*>(out);
  // Linux moves at most 2^31 - 4096 bytes in one call.
  constexpr std::size_t kMost = std::size_t{1} << 30;
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = ::pread(descriptor_.get(), bytes + done, std::min(size - done, kMost),
                                static_cast<off_t>(offset_ + offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(describe(errno));
    if (got == 0) fail("became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
}

Mapping File::map(std::uint64_t offset, std::size_t size) const {
  check_range(offset, size);
  Mapping mapping;
  if (size == 0) return mapping;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t start = offset_ + offset;
  const std::uint64_t lead = start % page;
  if (size > std::numeric_limits<std::size_t>::max() - lead) fail("too large to be mapped");
  const std::size_t base_size = size + static_cast<std::size_t>(lead);
  void* base = ::mmap(nullptr, base_size, PROT_READ, MAP_SHARED, descriptor_.get(),
                      static_cast<off_t>(start - lead));
  if (base == MAP_FAILED) fail("cannot be mapped: " + describe(errno));
  mapping.base_ = base;
  mapping.base_size_ = base_size;
  mapping.data_ = static_cast<const std::uint8_t*>(base) + lead;
  mapping.size_ = size;
  return mapping;
}

Descriptor File::open_direct() const {
#ifdef O_DIRECT
  // Under this name a descriptor can be opened again whatever became of its path.
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor_.get());
  return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
#else
  return Descriptor();
#endif
}

void File::drop_cache(std::uint64_t offset, std::uint64_t size) const noexcept {
#ifdef POSIX_FADV_DONTNEED
  static_cast<void>(::posix_fadvise(descriptor_.get(), static_cast<off_t>(offset_ + offset),
                                    static_cast<off_t>(size), POSIX_FADV_DONTNEED));
#endif
}

void File::fail(const std::string& reason) const { throw Error(error_code_, name_, reason); }

Directory::Directory(const std::string& path, std::string_view error_code)
    : path_(path), error_code_(error_code) {
  descriptor_ = Descriptor(open_path(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!descriptor_.valid()) throw Error(error_code_, path_, describe(errno));
}

void Directory::fail(std::string_view relative, const std::string& reason) const {
  throw Error(error_code_, path_ + "/" + printable(relative), reason);
}

std::shared_ptr<const File> Directory::open(std::string_view relative) const {
  const std::vector<std::string> names = components(relative);
  Descriptor below;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (name.empty() || name == "." || name == ".." || name.find('\0') != name.npos) {
      fail(relative, "the path leaves the directory or is not written plainly");
    }
    const int parent = i == 0 ? descriptor_.get() : below.get();
    const bool last = i + 1 == names.size();
    Descriptor next(
        ::openat(parent, name.c_str(), kOpenFlags | O_NOFOLLOW | (last ? 0 : O_DIRECTORY)));
    const int error = errno;
    if (!next.valid()) {
      fail(relative, is_symlink(parent, name) ? "leads through a symbolic link" : describe(error));
    }
    below = std::move(next);
  }
  std::shared_ptr<File> file(
      new File(path_ + "/" + printable(relative), error_code_, std::move(below), 0));
  file->size_ = file->check_regular();
  return file;
}

}  // namespace pocketr1
