#include "bundle/file_source.h"

#include <map>

#include "base/error.h"
#include "base/printable.h"

namespace pocketr1 {
namespace {

class DirectorySource final : public FileSource {
 public:
  DirectorySource(const std::string& path, std::string_view error_code)
      : directory_(path, error_code) {}
  std::shared_ptr<const File> open(std::string_view name) const override {
    return directory_.open(name);
  }

 private:
  Directory directory_;
};

class DescriptorSource final : public FileSource {
 public:
  DescriptorSource(const std::vector<NamedFile>& files, std::string_view error_code)
      : error_code_(error_code) {
    for (const NamedFile& file : files) {
      auto opened = File::from_descriptor(file.name, file.fd, file.offset, file.length, error_code);
      if (!files_.emplace(file.name, std::move(opened)).second) {
        throw Error(error_code_, file.name, "given twice");
      }
    }
  }
  std::shared_ptr<const File> open(std::string_view name) const override {
    const auto found = files_.find(std::string(name));
    if (found == files_.end()) throw Error(error_code_, printable(name), "was not given");
    return found->second;
  }

 private:
  std::string error_code_;
  std::map<std::string, std::shared_ptr<const File>> files_;
};

}  // namespace

std::unique_ptr<FileSource> directory_source(const std::string& path, std::string_view error_code) {
  return std::make_unique<DirectorySource>(path, error_code);
}

std::unique_ptr<FileSource> descriptor_source(const std::vector<NamedFile>& files,
                                              std::string_view error_code) {
  return std::make_unique<DescriptorSource>(files, error_code);
}

}  // namespace pocketr1
