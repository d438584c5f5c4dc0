#include "kernels/peak_i8.h"

#include "base/cpu_features.h"

namespace pocketr1 {

PeakI8Function select_peak_i8(const char* isa) {
  switch (choose_isa(isa)) {
#if defined(__x86_64__)
    case Isa::avx512_vnni:
      return avx512_vnni::peak_i8;
    case Isa::avx2:
      return avx2::peak_i8;
#elif defined(__aarch64__)
    case Isa::neon_i8mm:
      return neon_i8mm::peak_i8;
    case Isa::neon_dotprod:
      return neon_dotprod::peak_i8;
#endif
    default:
      return nullptr;
  }
}

}  // namespace pocketr1
