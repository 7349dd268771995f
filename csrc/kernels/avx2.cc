// Kernels for AVX2.
#include <immintrin.h>

#include <cstring>

#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/rows/codes_avx2.h"
#include "kernels/vectors.h"

#include "kernels/dot/avx2.h"
#include "kernels/gemv/packing.h"
#include "kernels/planes/count_native.h"
#include "kernels/winograd/body.h"
#include "kernels/winograd4/body.h"

#include "kernels/gemv/avx2.h"
#include "kernels/gemv/body.h"
#include "kernels/lookup/avx2.h"
#include "kernels/lookup/body.h"
#include "kernels/planes/sums.h"
#include "kernels/planes/avx2.h"
#include "kernels/real/avx2.h"
#include "kernels/real/body.h"
#include "kernels/rows/body.h"
#include "kernels/depthwise/avx2.h"
#include "kernels/depthwise/sliding.h"
#include "kernels/winograd/avx2.h"
#include "kernels/winograd4/avx2.h"

#include "kernels/rows/avx2.h"
#include "kernels/requantize/avx2.h"
#include "kernels/floats/body.h"

}  // namespace

const KernelSet& avx2_kernels() noexcept {
  static const KernelSet kernels = {
      "avx2",
      dot_u8,
      dot_s16,
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
      {quantize, encode, threshold, affine_acc, rescale_vector, affine_real, add, add_codes, decode, add_affine_codes, decode_affine,
       clamp, map, pack, widen, has_nan, max_codes, sum_codes, requantize_vector},
      {unary, layer_norm, softmax, lstm, gru},
      {1, 24, true},
      {1, 24, true},
      {4, 1, 24},
      lookup,
      lookup_tables,
      lookup_sums,
      {kLookupRows, kLookupInputs, kLookupTable, kLookupPart},
      kGemvCodes,
  };
  return kernels;
}

}  // namespace kompakt
