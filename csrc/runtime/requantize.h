// Sums to codes by shifts: one step, with a residual as codes or as sums.
#pragma once

#include "runtime/rows.h"

namespace kompakt {

// The step of a `requantize` node whose input `in_row` (0 or 1) is in the row; `map` holds the other one, if any, of
// type `other`.
Step make_requantize(const Node& node, size_t in_row, int map = -1, const ValueType* other = nullptr);

void run_requantize(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
