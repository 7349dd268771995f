// Affine, residual, clamp and quantize as one step, for sums whose floats nothing else reads.
#pragma once

#include <vector>

#include "runtime/rows.h"

namespace kompakt {

// Replaces every run AffineAcc, [Add*], [Clamp], Quantize by one Rescale.
void merge_rescales(std::vector<Step>& steps);

void run_rescale(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
