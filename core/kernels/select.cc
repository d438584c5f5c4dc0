#include "base/cpu_features.h"
#include "kernels/scalar/kernels.h"
#include "kernels/table.h"
#if defined(__x86_64__)
#include "kernels/avx2/kernels.h"
#include "kernels/avx512_vnni/kernels.h"
#elif defined(__aarch64__)
#include "kernels/neon_dotprod/kernels.h"
#include "kernels/neon_i8mm/kernels.h"
#endif

namespace pocketr1 {

const LinearKernel& linear_kernel(const KernelTable& table, WeightFormat format,
                                  std::size_t batch) {
  return (batch <= kGemvRows ? table.gemv : table.gemm)[static_cast<std::size_t>(format)];
}

const KernelTable& select_kernels(const char* isa) {
  switch (choose_isa(isa)) {
#if defined(__x86_64__)
    case Isa::avx512_vnni:
      return avx512_vnni::table;
    case Isa::avx2:
      return avx2::table;
#elif defined(__aarch64__)
    case Isa::neon_i8mm:
      return neon_i8mm::table;
    case Isa::neon_dotprod:
      return neon_dotprod::table;
#endif
    default:
      return scalar::table;
  }
}

}  // namespace pocketr1
