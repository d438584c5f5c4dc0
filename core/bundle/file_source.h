// Where a bundle's files come from: a directory, or descriptors handed in under their names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/bundle.h"
#include "bundle/file.h"

namespace pocketr1 {

class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual std::shared_ptr<const File> open(std::string_view name) const = 0;
};

// Errors carry `error_code`.
std::unique_ptr<FileSource> directory_source(const std::string& path, std::string_view error_code);
std::unique_ptr<FileSource> descriptor_source(const std::vector<NamedFile>& files,
                                              std::string_view error_code);

}  // namespace pocketr1
