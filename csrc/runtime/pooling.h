// Heads that pool: a window's largest value or sum.
#pragma once

#include "runtime/plan.h"

namespace kompakt {

// Head::MaxPool or Head::SumPool.
void run_pool(const Stage& stage, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
