// What this CPU and its operating system can run, and the instruction set that is used.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pocketr1 {

struct CpuFeatures {
  bool avx2_fma_f16c;  // AVX2, FMA and F16C
  bool avx512_vnni;    // all of AVX-512 F, BW, DQ, VL and VNNI, and avx2_fma_f16c
  bool neon_dotprod;   // Arm's dot product (ASIMDDP)
  bool neon_i8mm;      // its int8 matrix multiply (I8MM), and neon_dotprod
};

// Of the machine, whatever is forced; the operating system's support for the registers included.
const CpuFeatures& cpu_features();

// Each has a folder of that name in kernels/.
enum class Isa : std::uint8_t { scalar, avx2, avx512_vnni, neon_dotprod, neon_i8mm };

std::string_view isa_name(Isa isa);
// Those this CPU can run, best last.
std::vector<Isa> runnable_isas();
// The one named `requested`; when that is empty the one POCKETR1_ISA names, or else the best.
// Throws Error("isa-unsupported") for a name that is unknown or that this CPU cannot run.
Isa choose_isa(std::string_view requested = {});

}  // namespace pocketr1
