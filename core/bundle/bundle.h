// A compressed model on disk: docs/reference/bundle-format.md. Everything the file says is checked
// when it is opened; weights stay on disk until somebody acquires them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/layout.h"
#include "bundle/weight_store.h"

namespace pocketr1 {

// One of the bundle's files, as a range of an open descriptor: "bundle.json",
// "blocks/00000.safetensors". The bundle duplicates the descriptor.
struct NamedFile {
  std::string name;
  int fd;
  std::uint64_t offset;
  std::uint64_t length;
};

class Bundle {
 public:
  // With `mmap`, weights are mapped (a file that shrinks meanwhile is SIGBUS), except segments that
  // would not lie on a 64-byte boundary. Without, or for those, a segment is read when it is
  // acquired, once, and its values are checked.
  // Throws Error, code "bundle-unreadable", "bundle-foreign", "bundle-version", "bundle-encoding"
  // or "bundle-invalid"; it names the file, and the tensor where one is concerned.
  static Bundle open(const std::string& directory, bool mmap = true);
  static Bundle open(const std::vector<NamedFile>& files, bool mmap = true);

  // The path of bundle.json, for messages about what it says.
  const std::string& name() const;
  // bundle.json, and its "model".
  const Json& metadata() const;
  const Json& model_spec() const;
  std::string_view metadata_text() const;
  std::string_view model_spec_text() const;

  const BundleLayout& layout() const;
  const WeightStore& weights() const;
  // Bytes of codes, scales, zero points and row-major elements, without padding between parts.
  std::uint64_t weight_bytes() const;

  // Called with bytes done and bytes in all; may throw to stop.
  using Progress = std::function<void(std::uint64_t, std::uint64_t)>;
  // Reads everything: chunk hashes, the tokenizer's hashes, and the values of all segments.
  // Throws Error("bundle-hash" | "bundle-scales" | "bundle-codes" | ..., file, reason).
  void verify(const Progress& progress = {}) const;

 private:
  struct State;
  explicit Bundle(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

}  // namespace pocketr1
