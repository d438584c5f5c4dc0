#include "ops/peak_probe.h"

#include "base/cpu_features.h"
#include "check.h"

using namespace pocketr1;

TEST(every_product_that_is_asked_for_is_done) {
  for (const Isa isa : runnable_isas()) {
    const PeakI8Function peak = select_peak_i8(std::string(isa_name(isa)).c_str());
    if (peak == nullptr) continue;
    CHECK_EQ(peak(0), std::uint64_t{0});
    const std::uint64_t one = peak(1);
    CHECK(one >= 128);
    CHECK_EQ(peak(1000), 1000 * one);
  }
}

TEST(all_threads_multiply) {
  PeakProbe one(1, "");
  PeakProbe three(3, "");
  CHECK_EQ(three.multiply().products, 3 * one.multiply().products);
}

TEST(plain_code_has_no_peak) {
  PeakProbe probe(1, "scalar");
  CHECK_EQ(probe.multiply().products, std::uint64_t{0});
}

TEST(an_unknown_instruction_set_is_refused) {
  CHECK_ERROR(PeakProbe(1, "vliw"), "isa-unsupported");
}
