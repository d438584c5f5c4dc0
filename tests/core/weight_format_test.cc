#include "formats/weight_format.h"

#include "check.h"
#include "formats/tile_codes.h"

using namespace pocketr1;

TEST(every_format_is_found_by_its_name) {
  for (const WeightFormatTraits& row : weight_formats()) {
    CHECK(find_weight_format(row.name) == &row);
    CHECK(&traits(row.format) == &row);
  }
  CHECK(find_weight_format("w5g32") == nullptr);
}

TEST(packed_size_pads_rows_to_16_and_inputs_to_the_group) {
  const PackedSize size = packed_size(WeightFormat::w4g64z, 17, 65);
  CHECK_EQ(size.codes, 32u * 128 / 2);
  CHECK_EQ(size.scales, 32u * 2 * 2);
  CHECK_EQ(size.zeros, 32u * 2);
  const PackedSize three = packed_size(WeightFormat::w3g64, 17, 65);
  CHECK_EQ(three.codes, 32u * 128 * 3 / 8);
  CHECK_EQ(three.scales, 32u * 2 * 2);
  CHECK_EQ(three.zeros, 0u);
  CHECK_EQ(packed_size(WeightFormat::w2g128z, 16, 1).total(), 16u * 128 / 4 + 16 * 2 + 16);
}

TEST(float8_pads_inputs_alone) {
  const PackedSize size = packed_size(WeightFormat::f8e4m3, 17, 129);
  CHECK_EQ(size.codes, 17u * 256);
  CHECK_EQ(size.scales, 17u * 2 * 4);
  CHECK_EQ(size.zeros, 0u);
}

TEST(row_major_formats_are_not_padded) {
  CHECK_EQ(packed_size(WeightFormat::bf16, 17, 65).total(), 17u * 65 * 2);
}

TEST(an_absurd_dimension_is_refused) {
  CHECK_ERROR(packed_size(WeightFormat::f32, std::uint64_t{1} << 62, 8), "size-overflow");
}

TEST(every_code_of_a_block_has_its_own_bits) {
  for (const unsigned bits : {2u, 3u, 4u, 8u}) {
    constexpr std::size_t kInputs = 64;
    std::uint8_t block[kTileRows * kInputs] = {};
    const auto code = [&](std::size_t row, std::size_t k) {
      return static_cast<std::uint8_t>((row * 37 + k * 11 + row * k) & ((1u << bits) - 1));
    };
    for (std::size_t row = 0; row < kTileRows; ++row) {
      for (std::size_t k = 0; k < kInputs; ++k) put_code(block, bits, row, k, code(row, k));
    }
    for (std::size_t row = 0; row < kTileRows; ++row) {
      for (std::size_t k = 0; k < kInputs; ++k) {
        CHECK_EQ(int{read_code(block, bits, row, k)}, int{code(row, k)});
      }
    }
    // What lies behind the block's bytes is untouched.
    for (std::size_t i = kTileRows * kInputs * bits / 8; i < sizeof block; ++i) {
      CHECK_EQ(int{block[i]}, 0);
    }
  }
}
