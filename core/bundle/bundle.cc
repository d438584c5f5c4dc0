#include "bundle/bundle.h"

#include <utility>

#include "base/error.h"
#include "bundle/file_provider.h"
#include "bundle/file_source.h"
#include "bundle/values.h"
#include "bundle/verify.h"

namespace pocketr1 {
namespace {

constexpr std::string_view kUnreadable = "bundle-unreadable";

std::string read_metadata(const File& file) {
  if (file.size() > kLargestMetadata) {
    throw Error("bundle-invalid", file.name(),
                "it has " + std::to_string(file.size()) + " bytes, at most " +
                    std::to_string(kLargestMetadata) + " are read");
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

std::shared_ptr<const File> open_shard(const FileSource& source, const BundleLayout& layout,
                                       std::uint32_t index) {
  const ShardLayout& shard = layout.shards[index];
  std::shared_ptr<const File> file = source.open(shard.file);
  if (file->size() != shard.size) {
    throw Error("bundle-invalid", file->name(),
                "it has " + std::to_string(file->size()) + " bytes, bundle.json says " +
                    std::to_string(shard.size));
  }
  std::vector<SafetensorsEntry> entries;
  try {
    entries = read_safetensors_header(*file);
  } catch (const Error& error) {
    if (error.code() != "safetensors-invalid") throw;
    throw Error("bundle-invalid", error.where(), error.reason());
  }
  check_shard_header(layout, index, entries, file->name());
  return file;
}

}  // namespace

struct Bundle::State {
  std::unique_ptr<FileSource> source;
  std::string name;  // of bundle.json
  std::string text;
  std::shared_ptr<const BundleLayout> layout;
  Json model_spec;
  std::vector<std::shared_ptr<const File>> shards;
  WeightStore weights;

  static std::shared_ptr<const State> open(std::unique_ptr<FileSource> source, bool mmap);
};

std::shared_ptr<const Bundle::State> Bundle::State::open(std::unique_ptr<FileSource> source,
                                                         bool mmap) {
  const std::shared_ptr<const File> metadata = source->open("bundle.json");
  std::string text = read_metadata(*metadata);
  const auto layout = std::make_shared<const BundleLayout>(read_layout(text, metadata->name()));
  std::vector<std::shared_ptr<const File>> shards;
  for (std::uint32_t i = 0; i < layout->shards.size(); ++i) {
    shards.push_back(open_shard(*source, *layout, i));
  }

  FileProviderOptions options;
  options.mmap = mmap;
  options.alignment.assign(layout->segments.size(), kPartAlignment);
  options.inspect = [layout, shards](std::uint32_t segment, const std::uint8_t* bytes) {
    check_segment_values(*layout, segment, bytes, shards[layout->segments[segment].file]->name());
  };
  WeightStore weights{
      layout->tensors, layout->segments,
      make_file_provider(shards, layout->segments, std::move(options)),
      [layout, shards](const TensorRef& tensor, const PartRef& rows, const std::uint8_t* bytes) {
        const std::uint32_t file = layout->segments[rows.segment].file;
        check_part_values(tensor, rows, bytes, shards[file]->name());
      }};
  return std::make_shared<const State>(State{std::move(source), metadata->name(), std::move(text),
                                             layout, layout->metadata.at("model"),
                                             std::move(shards), std::move(weights)});
}

Bundle Bundle::open(const std::string& directory, bool mmap) {
  return Bundle(State::open(directory_source(directory, kUnreadable), mmap));
}

Bundle Bundle::open(const std::vector<NamedFile>& files, bool mmap) {
  return Bundle(State::open(descriptor_source(files, kUnreadable), mmap));
}

const std::string& Bundle::name() const { return state_->name; }
const Json& Bundle::metadata() const { return state_->layout->metadata; }
const Json& Bundle::model_spec() const { return state_->model_spec; }
std::string_view Bundle::metadata_text() const { return state_->text; }
std::string_view Bundle::model_spec_text() const {
  const auto [begin, end] = state_->model_spec.extent();
  return metadata_text().substr(begin, end - begin);
}
const BundleLayout& Bundle::layout() const { return *state_->layout; }
const WeightStore& Bundle::weights() const { return state_->weights; }

std::uint64_t Bundle::weight_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorRef& tensor : weights().tensors) {
    for (const PartRef& part : tensor.parts) bytes += part_size(tensor, part).total();
  }
  return bytes;
}

void Bundle::verify(const Progress& progress) const {
  verify_bundle(*state_->layout, *state_->source, state_->shards, progress);
}

}  // namespace pocketr1
