// The check that reads every byte of a bundle.
#pragma once

#include <memory>
#include <vector>

#include "bundle/bundle.h"
#include "bundle/file_source.h"

namespace pocketr1 {

// Bundle::verify(). `shards` are the layout's, opened.
void verify_bundle(const BundleLayout& layout, const FileSource& source,
                   const std::vector<std::shared_ptr<const File>>& shards,
                   const Bundle::Progress& progress);

}  // namespace pocketr1
