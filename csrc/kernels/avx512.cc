// Kernels for AVX-512 F, BW, VL, DQ, VBMI, VNNI, BITALG and VPOPCNTDQ.
//
// g++ 12 takes the undefined source operands inside its own intrinsics for our mistakes (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstring>

#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/rows/codes_avx512.h"
#include "kernels/vectors.h"

#include "kernels/dot/avx512.h"
#include "kernels/gemv/packing.h"
#include "kernels/planes/count_native.h"
#include "kernels/winograd/body.h"
#include "kernels/winograd4/body.h"

#include "kernels/gemv/avx512.h"
#include "kernels/gemv/body.h"
#include "kernels/lookup/avx512.h"
#include "kernels/lookup/body.h"
#include "kernels/planes/sums.h"
#include "kernels/planes/avx512.h"
#include "kernels/real/avx512.h"
#include "kernels/real/body.h"
#include "kernels/rows/body.h"
#include "kernels/depthwise/avx512.h"
#include "kernels/depthwise/sliding.h"
#include "kernels/winograd/avx512.h"
#include "kernels/winograd4/avx512.h"

#include "kernels/rows/avx512.h"
#include "kernels/requantize/avx512.h"
#include "kernels/floats/body.h"

}  // namespace

const KernelSet& avx512_kernels() noexcept {
  static const KernelSet kernels = {
      "avx512",
      dot<uint8_t, int8_t>,
      dot<int16_t, int16_t>,
      depthwise,
      winograd_input,
      winograd,
      winograd_weights,
      winograd4_input,
      winograd4,
      winograd4_weights,
      gemv,
      kGemvBits,
      planes,
      plane_sums,
      real,
      real_depthwise,
      {quantize, encode, threshold_vector, affine_acc, rescale_vector, affine_real, add, add_codes, decode,
       add_affine_codes, decode_affine, clamp, map, pack, widen, has_nan, max_codes, sum_codes, requantize_vector},
      {unary, layer_norm, softmax, lstm, gru},
      {1, 24, true},
      {1, 24, true},
      {8, 8, 1},
      lookup,
      lookup_tables,
      lookup_sums,
      {kLookupRows, kLookupInputs, kLookupTable, kLookupPart},
      kGemvCodes,
  };
  return kernels;
}

}  // namespace kompakt
