// Counter-based random numbers: Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as
// 1, 2, 3, SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace pocketr1 {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// Uniform in [0, 1), in steps of 2^-24.
float uniform(std::uint64_t seed, std::uint64_t index, std::uint64_t position);

}  // namespace pocketr1
