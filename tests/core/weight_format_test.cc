#include "formats/weight_format.h"

#include "check.h"

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
