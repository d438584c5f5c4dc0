#include "base/cpu_features.h"

#include <cstdlib>

#include "check.h"

using namespace pocketr1;

TEST(scalar_always_runs_and_the_best_comes_last) {
  const auto isas = runnable_isas();
  CHECK(isas.front() == Isa::scalar);
  CHECK(isas.size() == 1u + cpu_features().avx2_fma_f16c + cpu_features().avx512_vnni +
                           cpu_features().neon_dotprod + cpu_features().neon_i8mm);
  unsetenv("POCKETR1_ISA");
  CHECK(choose_isa() == isas.back());
}

TEST(the_best_is_what_the_machine_is_said_to_have) {
  // Said by who runs these tests under an emulator.
  const char* expected = std::getenv("POCKETR1_EXPECT_ISA");
  if (expected != nullptr) CHECK_EQ(isa_name(runnable_isas().back()), std::string(expected));
}

TEST(the_environment_forces_a_choice) {
  setenv("POCKETR1_ISA", "scalar", 1);
  CHECK(choose_isa() == Isa::scalar);
  CHECK(choose_isa(isa_name(runnable_isas().back())) == runnable_isas().back());
  setenv("POCKETR1_ISA", "avx3", 1);
  CHECK_ERROR(choose_isa(), "isa-unsupported");
  unsetenv("POCKETR1_ISA");
}

TEST(an_instruction_set_the_cpu_lacks_is_refused) {
  if (!cpu_features().avx2_fma_f16c) CHECK_ERROR(choose_isa("avx2"), "isa-unsupported");
  if (!cpu_features().avx512_vnni) CHECK_ERROR(choose_isa("avx512_vnni"), "isa-unsupported");
  CHECK_ERROR(choose_isa("neon"), "isa-unsupported");
}
