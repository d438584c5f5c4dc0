#include "bundle/checkpoint_store.h"

#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "bundle/file_provider.h"

namespace pocketr1 {
namespace {

constexpr std::uint64_t kLargestDimension = std::uint64_t{1} << 30;

std::uint64_t tensor_bytes(const CheckpointTensor& tensor, const File& file) {
  const auto fail = [&](const std::string& reason) {
    throw Error("safetensors-invalid", file.name(),
                "tensor \"" + printable(tensor.name) + "\" " + reason);
  };
  if (tensor.shape.empty() || tensor.shape.size() > 2) fail("must have one or two dimensions");
  for (const std::uint64_t dimension : tensor.shape) {
    if (dimension == 0 || dimension > kLargestDimension) {
      fail("has a dimension of " + std::to_string(dimension));
    }
  }
  const bool packed = traits(tensor.format).group_size != 0;
  if (packed && tensor.shape.size() != 2) fail("is no matrix, but packed");
  const std::uint64_t cols = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  const std::uint64_t bytes = packed_size(tensor.format, tensor.shape[0], cols).total();
  if (tensor.offset > file.size() || bytes > file.size() - tensor.offset) {
    fail("needs " + std::to_string(bytes) + " bytes at offset " + std::to_string(tensor.offset) +
         ", the file has " + std::to_string(file.size()));
  }
  return bytes;
}

}  // namespace

WeightStore open_checkpoint(const std::vector<std::string>& files,
                            const std::vector<CheckpointTensor>& tensors, bool mmap) {
  std::vector<std::shared_ptr<const File>> opened;
  for (const std::string& path : files) {
    opened.push_back(File::open(path, "safetensors-unreadable"));
  }
  WeightStore store;
  FileProviderOptions options;
  options.mmap = mmap;
  std::set<std::string> names;
  for (const CheckpointTensor& tensor : tensors) {
    if (tensor.file >= opened.size()) {
      throw Error("safetensors-invalid", printable(tensor.name),
                  "lies in a file that was not given");
    }
    const File& file = *opened[tensor.file];
    const std::uint64_t bytes = tensor_bytes(tensor, file);
    if (!names.insert(tensor.name).second) {
      throw Error("safetensors-invalid", file.name(),
                  "tensor \"" + printable(tensor.name) + "\" is given twice");
    }
    const auto segment = static_cast<std::uint32_t>(store.segments.size());
    store.segments.push_back({tensor.file, tensor.offset, bytes});
    const WeightFormatTraits& format = traits(tensor.format);
    options.alignment.push_back(format.group_size != 0 ? kTileBytes : format.bits / 8);
    store.tensors.push_back(
        {tensor.name, tensor.format, tensor.shape, {{0, tensor.shape[0], segment, 0}}});
  }
  store.provider = make_file_provider(std::move(opened), store.segments, std::move(options));
  return store;
}

}  // namespace pocketr1
