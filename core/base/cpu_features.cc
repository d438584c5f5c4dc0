#include "base/cpu_features.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace pocketr1 {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
};

constexpr IsaRow kIsas[] = {{Isa::scalar, "scalar"},
                            {Isa::avx2, "avx2"},
                            {Isa::avx512_vnni, "avx512_vnni"},
                            {Isa::neon_dotprod, "neon_dotprod"},
                            {Isa::neon_i8mm, "neon_i8mm"}};

CpuFeatures detect() {
#if defined(__x86_64__)
  // __builtin_cpu_supports asks XGETBV as well; F16C is no name Clang 14 takes there, and its
  // registers are AVX's.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  const bool avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return {avx2, avx512, false, false};
#elif defined(__aarch64__) && defined(__linux__)
  // HWCAP_ASIMDDP and HWCAP2_I8MM of Linux' asm/hwcap.h; older headers lack the second.
  const bool dotprod = (getauxval(AT_HWCAP) >> 20 & 1) != 0;
  const bool i8mm = dotprod && (getauxval(AT_HWCAP2) >> 13 & 1) != 0;
  return {false, false, dotprod, i8mm};
#else
  return {};
#endif
}

bool runnable(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return cpu_features().avx2_fma_f16c;
    case Isa::avx512_vnni:
      return cpu_features().avx512_vnni;
    case Isa::neon_dotprod:
      return cpu_features().neon_dotprod;
    case Isa::neon_i8mm:
      return cpu_features().neon_i8mm;
    case Isa::scalar:
      break;
  }
  return true;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::string_view isa_name(Isa isa) {
  for (const IsaRow& row : kIsas) {
    if (row.isa == isa) return row.name;
  }
  return "unknown";
}

std::vector<Isa> runnable_isas() {
  std::vector<Isa> all;
  for (const IsaRow& row : kIsas) {
    if (runnable(row.isa)) all.push_back(row.isa);
  }
  return all;
}

Isa choose_isa(std::string_view requested) {
  std::string where = "isa";
  if (requested.empty()) {
    where = "POCKETR1_ISA";
    const char* forced = std::getenv("POCKETR1_ISA");
    if (forced != nullptr) requested = forced;
    if (requested.empty()) return runnable_isas().back();
  }
  for (const IsaRow& row : kIsas) {
    if (row.name != requested) continue;
    if (runnable(row.isa)) return row.isa;
    throw Error("isa-unsupported", where, "this CPU cannot run " + std::string(requested));
  }
  throw Error("isa-unsupported", where,
              "\"" + std::string(requested) +
                  "\" is none of scalar, avx2, avx512_vnni, neon_dotprod, neon_i8mm");
}

}  // namespace pocketr1
