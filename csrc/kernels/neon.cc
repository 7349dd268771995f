// Kernels for Arm's Advanced SIMD, which every 64-bit Arm CPU has; what compilers vectorise well is portable.cc's.
#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/dot/neon.h"
#include "kernels/planes/count_native.h"

#include "kernels/planes/sums.h"
#include "kernels/planes/neon.h"
#include "kernels/real/neon.h"
#include "kernels/rows/neon.h"

KernelSet derived() noexcept {
  KernelSet kernels = portable_kernels();
  kernels.isa = "neon";
  kernels.base = &portable_kernels();
  kernels.dot_u8 = dot_u8;
  kernels.dot_s16 = dot_s16;
  kernels.planes = planes;
  kernels.plane_sums = plane_sums;
  kernels.real = real;
  kernels.rows.map = map;
  kernels.rows.add_codes = add_codes;
  kernels.rows.decode = decode;
  kernels.rows.pack = pack;
  return kernels;
}

}  // namespace

const KernelSet& neon_kernels() noexcept {
  static const KernelSet kernels = derived();
  return kernels;
}

}  // namespace kompakt
