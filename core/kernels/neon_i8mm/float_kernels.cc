// The float kernels of this instruction set, and the table of all its kernels. Up to four rows of
// activations are the dot product's.
#include "kernels/neon_dotprod/kernels.h"
#include "kernels/neon_i8mm/f32x16.h"
#include "kernels/neon_i8mm/i8_dot.h"
#include "kernels/neon_i8mm/kernels.h"

namespace pocketr1::neon_i8mm {
namespace {
constexpr std::size_t kRowsAtOnce = 2;
constexpr std::size_t kBatchAtOnce = 2;
constexpr std::size_t kHeadsTogether = 2;
constexpr std::size_t kTokensTogether = 2;
constexpr std::size_t kHeadsOfCodes = 6;
constexpr std::size_t kKeyVectors = 1;
constexpr std::size_t kValueVectors = 1;
}  // namespace

#include "kernels/generic/float_kernels.inl"
// behind it, what builds on it:
#include "kernels/generic/attention.inl"
#include "kernels/generic/attention_int8.inl"
#include "kernels/generic/linear_float.inl"
#include "kernels/generic/linear_float8.inl"

// clang-format off
constinit const KernelTable table{
  "neon_i8mm", rms_norm, silu_mul, exp_sum, quantize_a8,
  {store_kv_f32, store_kv_f16, store_key_int8},
  {store_kv_f32, store_kv_f16, store_value_int8},
  {attention<KvFormat::f32, FloatProducts<KvFormat::f32>>,
   attention<KvFormat::f16, FloatProducts<KvFormat::f16>>,
   attention<KvFormat::int8, Int8Products>},
  {
    {"linear_f32_neon_i8mm", linear_f32},
    {"linear_f16_neon_i8mm", linear_f16},
    {"linear_bf16_neon_i8mm", linear_bf16},
    {"gemv_w8g32_a8_neon_dotprod", neon_dotprod::gemv_w8g32_a8},
    {"gemv_w8g64_a8_neon_dotprod", neon_dotprod::gemv_w8g64_a8},
    {"gemv_w8g128_a8_neon_dotprod", neon_dotprod::gemv_w8g128_a8},
    {"gemv_w4g32_a8_neon_dotprod", neon_dotprod::gemv_w4g32_a8},
    {"gemv_w4g64_a8_neon_dotprod", neon_dotprod::gemv_w4g64_a8},
    {"gemv_w4g128_a8_neon_dotprod", neon_dotprod::gemv_w4g128_a8},
    {"gemv_w4g32z_a8_neon_dotprod", neon_dotprod::gemv_w4g32z_a8},
    {"gemv_w4g64z_a8_neon_dotprod", neon_dotprod::gemv_w4g64z_a8},
    {"gemv_w4g128z_a8_neon_dotprod", neon_dotprod::gemv_w4g128z_a8},
    {"gemv_w3g32_a8_neon_dotprod", neon_dotprod::gemv_w3g32_a8},
    {"gemv_w3g64_a8_neon_dotprod", neon_dotprod::gemv_w3g64_a8},
    {"gemv_w3g128_a8_neon_dotprod", neon_dotprod::gemv_w3g128_a8},
    {"gemv_w3g32z_a8_neon_dotprod", neon_dotprod::gemv_w3g32z_a8},
    {"gemv_w3g64z_a8_neon_dotprod", neon_dotprod::gemv_w3g64z_a8},
    {"gemv_w3g128z_a8_neon_dotprod", neon_dotprod::gemv_w3g128z_a8},
    {"gemv_w2g32_a8_neon_dotprod", neon_dotprod::gemv_w2g32_a8},
    {"gemv_w2g64_a8_neon_dotprod", neon_dotprod::gemv_w2g64_a8},
    {"gemv_w2g128_a8_neon_dotprod", neon_dotprod::gemv_w2g128_a8},
    {"gemv_w2g32z_a8_neon_dotprod", neon_dotprod::gemv_w2g32z_a8},
    {"gemv_w2g64z_a8_neon_dotprod", neon_dotprod::gemv_w2g64z_a8},
    {"gemv_w2g128z_a8_neon_dotprod", neon_dotprod::gemv_w2g128z_a8},
    {"linear_f8e4m3_neon_i8mm", linear_f8e4m3},
  },
  {
    {"linear_f32_neon_i8mm", linear_f32},
    {"linear_f16_neon_i8mm", linear_f16},
    {"linear_bf16_neon_i8mm", linear_bf16},
    {"gemm_w8g32_a8_neon_i8mm", gemm_w8g32_a8},
    {"gemm_w8g64_a8_neon_i8mm", gemm_w8g64_a8},
    {"gemm_w8g128_a8_neon_i8mm", gemm_w8g128_a8},
    {"gemm_w4g32_a8_neon_i8mm", gemm_w4g32_a8},
    {"gemm_w4g64_a8_neon_i8mm", gemm_w4g64_a8},
    {"gemm_w4g128_a8_neon_i8mm", gemm_w4g128_a8},
    {"gemm_w4g32z_a8_neon_i8mm", gemm_w4g32z_a8},
    {"gemm_w4g64z_a8_neon_i8mm", gemm_w4g64z_a8},
    {"gemm_w4g128z_a8_neon_i8mm", gemm_w4g128z_a8},
    {"gemm_w3g32_a8_neon_i8mm", gemm_w3g32_a8},
    {"gemm_w3g64_a8_neon_i8mm", gemm_w3g64_a8},
    {"gemm_w3g128_a8_neon_i8mm", gemm_w3g128_a8},
    {"gemm_w3g32z_a8_neon_i8mm", gemm_w3g32z_a8},
    {"gemm_w3g64z_a8_neon_i8mm", gemm_w3g64z_a8},
    {"gemm_w3g128z_a8_neon_i8mm", gemm_w3g128z_a8},
    {"gemm_w2g32_a8_neon_i8mm", gemm_w2g32_a8},
    {"gemm_w2g64_a8_neon_i8mm", gemm_w2g64_a8},
    {"gemm_w2g128_a8_neon_i8mm", gemm_w2g128_a8},
    {"gemm_w2g32z_a8_neon_i8mm", gemm_w2g32z_a8},
    {"gemm_w2g64z_a8_neon_i8mm", gemm_w2g64z_a8},
    {"gemm_w2g128z_a8_neon_i8mm", gemm_w2g128z_a8},
    {"linear_f8e4m3_neon_i8mm", linear_f8e4m3},
  },
};
// clang-format on

}  // namespace pocketr1::neon_i8mm
