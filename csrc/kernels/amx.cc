// Kernels for AMX int8: dot products on tiles, all else as for AVX-512.
//
// g++ 12 takes the undefined source operands inside its own intrinsics for our mistakes (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/rows/codes_avx512.h"

#include "kernels/dot/avx512.h"
#include "kernels/dot/tiles.h"

#include "kernels/dot/amx.h"

KernelSet derived() noexcept {
  KernelSet kernels = avx512_kernels();
  kernels.isa = "amx";
  kernels.base = &avx512_kernels();
  kernels.dot_u8 = dot_amx;
  kernels.dot_u8_shape = {kStepTaps, 2 * kTileRows, false};
  return kernels;
}

}  // namespace

const KernelSet& amx_kernels() noexcept {
  static const KernelSet kernels = derived();
  return kernels;
}

}  // namespace kompakt
