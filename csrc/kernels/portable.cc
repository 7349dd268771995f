// Kernels for any CPU: plain loops, compiled for the architecture's base level.
#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/vectors.h"

#include "kernels/dot/portable.h"
#include "kernels/gemv/packing.h"
#include "kernels/planes/count_portable.h"
#include "kernels/winograd/body.h"
#include "kernels/winograd4/body.h"

#include "kernels/gemv/portable.h"
#include "kernels/gemv/body.h"
#include "kernels/planes/sums.h"
#include "kernels/planes/portable.h"
#include "kernels/real/body.h"
#include "kernels/rows/body.h"
#include "kernels/requantize/body.h"
#include "kernels/floats/body.h"
#include "kernels/depthwise/portable.h"
#include "kernels/winograd/portable.h"
#include "kernels/winograd4/portable.h"

}  // namespace

const KernelSet& portable_kernels() noexcept {
  static const KernelSet kernels = {
      "portable",
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
      real_generic,
      real_depthwise,
      {quantize, encode, threshold, affine_acc, rescale, affine_real, add, add_codes_table, decode_table, add_affine_codes,
       decode_affine, clamp, map_table, pack_tail<8>, widen, has_nan, max_codes, sum_codes, requantize},
      {unary, layer_norm, softmax, lstm, gru},
  };
  return kernels;
}

}  // namespace kompakt
