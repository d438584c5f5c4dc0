#include "ops/memory_probe.h"

#include <cmath>
#include <cstdint>

#include "base/half.h"
#include "check.h"

using namespace pocketr1;

TEST(reading_passes_over_every_byte) {
  for (unsigned threads : {1u, 3u}) {
    MemoryProbe probe(20'000'001, threads, "scalar");
    const ProbePass pass = probe.read();
    CHECK(pass.bytes >= 20'000'001);
    CHECK(pass.seconds > 0);
    CHECK_EQ(probe.sum(), pass.bytes / 8 * std::uint64_t{0x2c2c2c2c2c2c2c2c});
  }
}

TEST(multiplying_is_the_engine_s_own_matrix_product) {
  const double scale = f16_to_f32(0x2c2c);
  for (const WeightFormatTraits& format : weight_formats()) {
    if (!format.tiled()) continue;
    MemoryProbe probe(1, 2, "");
    const ProbePass pass = probe.multiply(format.format);
    const PackedSize size =
        packed_size(format.format, MemoryProbe::kMatrixRows, MemoryProbe::kMatrixCols);
    CHECK(pass.bytes >= size.total());
    CHECK_EQ(pass.bytes % size.total(), std::size_t{0});
    // Activations are 1, and every byte is 44, 0b00'10'11'00. 8 bits: every code is 44. 4 bits: 12
    // and 2. 3 bits: 4 and 5 three times, and 0 and 0. 2 bits: 0, 3, 2 and 0. Less the zero point,
    // which is the centre or, where it is stored, the byte itself.
    const double zero = format.zero_points ? MemoryProbe::kByte : format.centre();
    const double code = format.bits == 8   ? 44
                        : format.bits == 4 ? 14 / 2.0
                        : format.bits == 3 ? 27 / 8.0
                                           : 5 / 4.0;
    const double mean = code - zero;
    const double expected = mean * scale * MemoryProbe::kMatrixCols;
    for (std::size_t row = 0; row < MemoryProbe::kMatrixRows; ++row) {
      CHECK(std::abs(probe.outputs()[row] - expected) < 1e-3 * std::abs(expected));
    }
  }
}

TEST(a_format_that_is_not_tiled_is_refused) {
  MemoryProbe probe(1, 1, "");
  CHECK_ERROR(probe.multiply(WeightFormat::f32), "quantize-unsupported");
}
