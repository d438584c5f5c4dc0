// The names and sizes a kernel needs of weight_format.h. Kernels are compiled for one instruction
// set each, so what they include holds nothing the linker could share with other files.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pocketr1 {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileBytes = 64;
constexpr std::size_t kFloat8Group = 128;  // inputs that share a scale in f8e4m3

enum class WeightFormat : std::uint8_t {
  f32,
  f16,
  bf16,
  w8g32,
  w8g64,
  w8g128,
  w4g32,
  w4g64,
  w4g128,
  w4g32z,
  w4g64z,
  w4g128z,
  w3g32,
  w3g64,
  w3g128,
  w3g32z,
  w3g64z,
  w3g128z,
  w2g32,
  w2g64,
  w2g128,
  w2g32z,
  w2g64z,
  w2g128z,
  f8e4m3,
};

}  // namespace pocketr1
