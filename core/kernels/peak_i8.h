// How many int8 products an instruction set gives at best: from registers alone, memory left out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1 {

// Multiplies ones by ones, `rounds` times (at most 2^28), in as many independent sums as hide the
// instruction's latency. Returns the total of the sums: the multiply-accumulates it has done.
using PeakI8Function = std::uint64_t (*)(std::size_t rounds);

// That of the instruction set that select_kernels(isa) takes; null where it has no such
// instruction. Throws Error("isa-unsupported").
PeakI8Function select_peak_i8(const char* isa);

namespace avx2 {
std::uint64_t peak_i8(std::size_t rounds);
}
namespace avx512_vnni {
std::uint64_t peak_i8(std::size_t rounds);
}
namespace neon_dotprod {
std::uint64_t peak_i8(std::size_t rounds);
}
namespace neon_i8mm {
std::uint64_t peak_i8(std::size_t rounds);
}

}  // namespace pocketr1
