// The values no format may hold: they would become NaN, or numbers a kernel cannot represent.
#pragma once

#include <cstdint>
#include <string>

#include "bundle/layout.h"

namespace pocketr1 {

// `bytes`: all codes, scales and zero points of these rows. Throws Error("bundle-scales",
// file_name, reason) for a scale that is NaN, infinite, or negative where the format has no such
// scales, and for a zero point above the largest code, Error("bundle-codes", ...) for an 8-bit code
// of -128; the reason names tensor, row and group or byte.
void check_part_values(const TensorRef& tensor, const PartRef& part, const std::uint8_t* bytes,
                       const std::string& file_name);
// The same for all parts of a segment; `bytes`: all of it.
void check_segment_values(const BundleLayout& layout, std::uint32_t segment,
                          const std::uint8_t* bytes, const std::string& file_name);

}  // namespace pocketr1
