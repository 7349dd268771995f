// Heads that are not layers: they put a tile of their result into a row buffer.
#pragma once

#include "runtime/plan.h"

namespace kompakt {

// The lot's input images, (images, C, H, W).
void read_input(const Stage& stage, const float* images, const Row& row);

// A tile of the map that a whole operator has computed.
void read_frame(const Stage& stage, const uint8_t* frame, const Row& row);

void run_head(const Stage& stage, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
