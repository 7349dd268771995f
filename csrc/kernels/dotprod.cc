// Kernels for 64-bit Arm with the dot product instructions of Armv8.2: dot products with sdot, all else as for neon.
#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/unroll.h"

namespace kompakt {
namespace {

#include "kernels/dot/neon.h"

#include "kernels/dot/dotprod.h"

KernelSet derived() noexcept {
  KernelSet kernels = neon_kernels();
  kernels.isa = "dotprod";
  kernels.base = &neon_kernels();
  kernels.dot_u8 = dot_u8_sdot;
  return kernels;
}

}  // namespace

const KernelSet& dotprod_kernels() noexcept {
  static const KernelSet kernels = derived();
  return kernels;
}

}  // namespace kompakt
