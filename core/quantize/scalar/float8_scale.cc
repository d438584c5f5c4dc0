#include "quantize/float8_scale.h"

#include <cstddef>
#include <cstdint>

namespace pocketr1 {
namespace {
#include "quantize/float8_scale.inl"
}  // namespace

float float8_scale_scalar(const float* values, float largest) {
  return float8_scale(values, largest);
}

}  // namespace pocketr1
