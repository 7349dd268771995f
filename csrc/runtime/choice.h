// The kernel table, and the choice of one row per layer at load.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/layer.h"
#include "runtime/whole.h"

namespace kompakt {

enum class Family { DotU8, DotS16, Depthwise, Winograd, Winograd4, Gemv, Lookup, Planes, Real };

// One kernel. Costs are clock cycles, measured on one core of an AMD EPYC (Zen 4); only their order matters.
struct KernelRow {
  const char* name;
  const char* types;  // operands x weights -> sums
  Family family;
  const char* isa;
  double step_cycles;  // one block of 16 channels x one pixel x one step (4, 2 or 64 operands,
                       // one word, one byte of 16 rows of bits, one float)
  double pair_cycles;  // one block x one pixel x one pair of planes, beyond its words (planes); one block x one tile
                       // of pixels, beyond its products (winograd); one block, beyond its steps (gemv);
                       // tables of one byte (lookup)
};

// All kernels of all levels.
const std::vector<KernelRow>& kernel_table();

struct Choice {
  const KernelRow* row;
  std::string reason;
  std::unique_ptr<Layer> layer;
  std::unique_ptr<WholeMap> whole{};  // of an operator that is no layer
};

// Cheapest legal row of the level for a layer, packed and ready. `prefer` names a family (dot_u8s8, dot_s16,
// depthwise_u8s8, winograd_u8s8, winograd_s16, gemv, lookup, planes, f32) to take wherever it is legal, whatever it
// costs; empty for none.
Choice choose_kernel(const LayerSpec& spec, const KernelSet& kernels, const std::string& prefer);

}  // namespace kompakt
