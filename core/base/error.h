// The core's one exception. It never leaves the library: the C header turns it into a status, the
// Python binding into the matching class of pocketr1.errors.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace pocketr1 {

class Error : public std::runtime_error {
 public:
  // `code` is a stable slug that pocketr1.messages knows ("bundle-invalid"); `where` names the
  // file, tensor or option; `reason` says what is wrong with it.
  Error(std::string code, std::string where, std::string reason)
      : std::runtime_error(where.empty() ? reason : where + ": " + reason),
        code_(std::move(code)),
        where_(std::move(where)),
        reason_(std::move(reason)) {}

  const std::string& code() const { return code_; }
  const std::string& where() const { return where_; }
  const std::string& reason() const { return reason_; }

 private:
  std::string code_;
  std::string where_;
  std::string reason_;
};

}  // namespace pocketr1
