// Affine, residual, clamp and quantize as one step, for sums whose floats nothing else reads.
#pragma once

#include <vector>

#include "runtime/rows.h"

namespace kompakt {

// Replaces every run AffineAcc, [Add*], [Clamp], Quantize by one Rescale.
void merge_rescales(std::vector<Step>& steps);

// Whether a kernel may do the step, a rescale or a requantize, on sums in registers: the rounded value fits int32 for
// every sum.
bool suits_kernels(const Step& step);

// For such a step. Where the codes go is left open.
CodesArgs codes_args(const Step& step, const Maps& maps, const Row& row);

void run_rescale(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
