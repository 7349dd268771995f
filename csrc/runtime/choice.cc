#include "runtime/choice.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace kompakt {
namespace {

const char* word_of(Family family) {
  switch (family) {
    case Family::DotU8: return "dot_u8s8";
    case Family::DotS16: return "dot_s16";
    case Family::Depthwise: return "depthwise_u8s8";
    case Family::Winograd: return "winograd_u8s8";
    case Family::Winograd4: return "winograd_s16";
    case Family::Gemv: return "gemv";
    case Family::Lookup: return "lookup";
    case Family::Planes: return "planes";
    case Family::Real: return "f32";
  }
  return "";
}

// Widest weights that are cut into planes for look-ups: with more, their products cost less.
constexpr int kLookupBits = 4;

// Empty when the family can run the layer, else why not.
std::string obstacle(Family family, const LayerSpec& spec, const KernelSet& kernels) {
  const bool is_real = spec.input.kind == Kind::F32;
  switch (family) {
    case Family::Real: return is_real ? "" : "input is codes";
    case Family::DotS16: return is_real ? "input is f32" : "";
    case Family::Gemv:
      if (is_real) return "input is f32";
      if (!reads_whole_map(spec.window)) return "several windows share weights";
      return fits_bytes(spec) ? "" : "levels exceed a byte";
    case Family::Lookup:
      if (is_real) return "input is f32";
      if (!reads_whole_map(spec.window)) return "several windows share weights";
      if (spec.window.groups > 1) return "grouped";
      if (spec.weight.encoding.bits > kLookupBits) return "weights have more than 4 bits";
      return fits_bytes(spec) ? "" : "levels exceed a byte";
    case Family::Planes:
      if (is_real) return "input is f32";
      return is_planar(spec) ? "" : "a table has no bit planes";
    case Family::Depthwise:
      if (is_real) return "input is f32";
      if (!is_depthwise(spec.window)) return "not depthwise";
      return fits_bytes(spec) ? "" : "levels exceed a byte";
    case Family::Winograd:
      return is_real ? "input is f32" : winograd_obstacle(spec, std::strcmp(kernels.isa, "avx2") == 0);
    case Family::Winograd4: return is_real ? "input is f32" : winograd4_obstacle(spec);
    case Family::DotU8:
      if (is_real) return "input is f32";
      if (!fits_bytes(spec)) return "levels exceed a byte";
      if (std::strcmp(kernels.isa, "avx2") == 0 && narrow_sums(spec) == 0) return "sums of two may exceed int16";
      return "";
  }
  return "";
}

// 16-channel blocks; narrow groups share blocks in the dot families.
size_t block_count(Family family, const Window& window) {
  const bool is_split = family == Family::Planes || (family == Family::Gemv && window.groups > 1);
  return (is_split ? blocks_per_group(window) : blocks_across(window)).size();
}

// Steps of one block at one pixel.
size_t step_count(Family family, const Window& window) {
  const size_t groups_in_block = window.group_outputs() >= kLanes ? 1 : kLanes / window.group_outputs();
  const size_t inputs = window.group_inputs() * (groups_in_block < window.groups ? groups_in_block : window.groups);
  switch (family) {
    case Family::DotU8: return window.kernel_h * ((window.kernel_w * inputs + 3) / 4);
    case Family::DotS16: return window.kernel_h * ((window.kernel_w * inputs + 1) / 2);
    case Family::Depthwise: return window.kernel_w * ((window.kernel_h + 3) / 4);
    case Family::Winograd: return 16 * ((window.group_inputs() + 3) / 4);
    case Family::Winograd4: return 36 * ((window.group_inputs() + 1) / 2);
    case Family::Gemv: return (window.taps() * window.group_inputs() + 63) / 64;
    case Family::Lookup: return 0;  // depends on the level
    case Family::Planes: return window.kernel_h * ((window.kernel_w * ((window.group_inputs() + 7) / 8) + 7) / 8);
    case Family::Real: return window.taps() * window.group_inputs();
  }
  return 0;
}

// Bytes of packed weights that one cycle brings from the last-level cache; from the second, where weights of layers up
// to kNearBytes are taken to stay from call to call.
constexpr double kStreamBytes = 18;
constexpr double kNearStreamBytes = 32;
constexpr size_t kNearBytes = size_t{512} << 10;

size_t weight_bytes(const KernelRow& row, const LayerSpec& spec, const KernelSet& kernels) {
  const size_t steps = block_count(row.family, spec.window) * step_count(row.family, spec.window);
  if (row.family == Family::Gemv) return steps * kLanes * 8 * static_cast<size_t>(gemv_bits(spec, kernels));
  if (row.family != Family::Planes) return steps * kLanes * 4;
  return steps * kLanes * 8 * static_cast<size_t>(spec.weight.encoding.bits);
}

double stream_cycles(size_t bytes) {
  return static_cast<double>(bytes) / (bytes <= kNearBytes ? kNearStreamBytes : kStreamBytes);
}

// Cycles to split an image into bit planes, to find every window and to add up its levels.
double split_cycles(const Window& window, double planes) {
  const double windows = static_cast<double>(window.out.pixels() * window.groups);
  const double per_window = 24 + static_cast<double>(window.taps());
  return windows * per_window + planes * static_cast<double>(window.in.elements()) / 16;
}

// Whether a row is of the level, or of one that the level is built on and has no kernel of its own for.
bool belongs(const KernelRow& row, const KernelSet& kernels) {
  if (std::strcmp(row.isa, kernels.isa) == 0) return true;
  if (kernels.base == nullptr || !belongs(row, *kernels.base)) return false;
  for (const KernelRow& other : kernel_table())
    if (other.family == row.family && std::strcmp(other.isa, kernels.isa) == 0) return false;
  return true;
}

// Cycles to transform inputs, per channel of a tile; of Winograd's 2x2 and 4x4 outputs. And to transform two channels'
// weights of a block, where that is not done at load.
constexpr double kTransformCycles = 1, kTransform4Cycles = 12, kTransformWeightsCycles = 200;

double winograd_cost(const KernelRow& row, const LayerSpec& spec, double stream) {
  const Window& window = spec.window;
  const bool is_large = row.family == Family::Winograd4;
  const size_t unit = is_large ? 4 : 2;
  const size_t tiles = ((window.out.height + unit - 1) / unit) * ((window.out.width + unit - 1) / unit);
  const double products = static_cast<double>(step_count(row.family, window)) * row.step_cycles + row.pair_cycles;
  const double per_channel = is_large ? kTransform4Cycles : kTransformCycles;
  const double transform = 16 + static_cast<double>(window.in.channels) * per_channel;
  const auto blocks = static_cast<double>(block_count(row.family, window));
  if (is_large && winograd4_keeps_levels(window))
    stream = blocks * static_cast<double>(step_count(row.family, window)) / 36 * kTransformWeightsCycles;
  return static_cast<double>(tiles) * (blocks * products + transform) + stream;
}

// Share of a step's cycles where codes are multiplied as they are, without a look-up.
constexpr double kCodeShare = 0.7;

// Latency of a product. Grouped layers of one pixel have a single sum in hand, where each product waits for the last.
constexpr double kWaitCycles = 4;

// Tables are made once for all rows of bits.
double lookup_cost(const KernelRow& row, const LayerSpec& spec, const KernelSet& kernels) {
  const LookupShape& shape = kernels.lookup_shape;
  const size_t bytes = (spec.per_channel() + shape.inputs - 1) / shape.inputs;
  const size_t units = (spec.window.out.channels + shape.rows - 1) / shape.rows;
  const size_t blocks = units * shape.rows / kLanes * lookup_planes(spec.weight.encoding);
  const double work = static_cast<double>(blocks * bytes) * row.step_cycles;
  return static_cast<double>(bytes) * row.pair_cycles + std::max(work, stream_cycles(blocks * bytes * kLanes));
}

// What a step of 16-bit sums costs more where they are widened at once.
constexpr double kWideningCycles = 0.65;

// Estimated cycles for one image, without the steps that follow in any case.
double cost(const KernelRow& row, const LayerSpec& spec, const KernelSet& kernels) {
  const Window& window = spec.window;
  const double tiles = static_cast<double>(window.out.pixels() * block_count(row.family, window));
  const double stream = stream_cycles(weight_bytes(row, spec, kernels));
  if (row.family == Family::Winograd || row.family == Family::Winograd4) return winograd_cost(row, spec, stream);
  if (row.family == Family::Lookup) return lookup_cost(row, spec, kernels);
  const bool waits = window.groups > 1 && window.out.pixels() == 1 && row.family == Family::DotU8;
  const double step_cycles = waits ? std::max(row.step_cycles, kWaitCycles) : row.step_cycles;
  const bool widens = row.family == Family::DotU8 && std::strcmp(row.isa, "avx2") == 0 && narrow_sums(spec) < 8;
  double work = static_cast<double>(step_count(row.family, window)) * (step_cycles + (widens ? kWideningCycles : 0));
  if (row.family == Family::Planes) {
    const double planes = spec.input.encoding.bits;
    work = spec.weight.encoding.bits * planes * (work + row.pair_cycles);
    return tiles * work + split_cycles(window, planes) + stream;
  }
  if (row.family == Family::Gemv) {
    if (multiplies_codes(spec, kernels)) work *= kCodeShare;
    work += row.pair_cycles;
    // Codes that are expanded take longer than reading them, which goes on meanwhile.
    if (gemv_bits(spec, kernels) < 8) return std::max(tiles * work, stream);
  }
  return tiles * work + stream;
}

std::unique_ptr<Layer> make(Family family, const LayerSpec& spec, const KernelSet& kernels) {
  switch (family) {
    case Family::DotU8: return make_dot_u8(spec, kernels);
    case Family::DotS16: return make_dot_s16(spec, kernels);
    case Family::Depthwise: return make_depthwise(spec, kernels);
    case Family::Winograd: return make_winograd(spec, kernels);
    case Family::Winograd4: return make_winograd4(spec, kernels);
    case Family::Gemv: return make_gemv(spec, kernels);
    case Family::Lookup: return make_lookup(spec, kernels);
    case Family::Planes: return make_planes(spec, kernels);
    case Family::Real: return make_real(spec, kernels);
  }
  return nullptr;
}

std::string in_kilocycles(double cycles) {
  const auto tenths = static_cast<long long>(std::llround(cycles / 100));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " kcycles";
}

}  // namespace

const std::vector<KernelRow>& kernel_table() {
  static const std::vector<KernelRow> table = {
      {"dot_u8s8_portable", "u8 x s8 -> s32", Family::DotU8, "portable", 80, 0},
      {"dot_s16_portable", "s16 x s16 -> s32", Family::DotS16, "portable", 43, 0},
      {"depthwise_u8s8_portable", "u8 x s8 -> s32", Family::Depthwise, "portable", 80, 0},
      {"winograd_u8s8_portable", "u8 x s8 -> s32", Family::Winograd, "portable", 80, 100},
      {"winograd_s16_portable", "s16 x s16 -> s32", Family::Winograd4, "portable", 43, 600},
      {"gemv_u8_packed_portable", "u8 x packed s8 -> s32", Family::Gemv, "portable", 900, 0},
      {"planes_portable", "bits x bits -> s32", Family::Planes, "portable", 49, 30},
      {"f32_portable", "f32 x f32 -> f32", Family::Real, "portable", 6, 0},
      {"dot_u8s8_maddubs_avx2", "u8 x s8 -> s32", Family::DotU8, "avx2", 1.55, 0},
      {"dot_s16_maddwd_avx2", "s16 x s16 -> s32", Family::DotS16, "avx2", 1.45, 0},
      {"depthwise_u8s8_maddwd_avx2", "u8 x s8 -> s32", Family::Depthwise, "avx2", 10, 0},
      {"winograd_u8s8_maddubs_avx2", "u8 x s8 -> s32", Family::Winograd, "avx2", 1.5, 100},
      {"winograd_s16_maddwd_avx2", "s16 x s16 -> s32", Family::Winograd4, "avx2", 1.15, 300},
      {"gemv_u8_packed_maddubs_avx2", "u8 x packed s8 -> s32", Family::Gemv, "avx2", 44, 160},
      {"lookup_u8_pshufb_avx2", "u8 x bits -> s32", Family::Lookup, "avx2", 1.8, 9},
      {"planes_pshufb_avx2", "bits x bits -> s32", Family::Planes, "avx2", 6, 18},
      {"f32_avx2", "f32 x f32 -> f32", Family::Real, "avx2", 2.1, 0},
      {"dot_u8s8_vnni_avx512", "u8 x s8 -> s32", Family::DotU8, "avx512", 1.07, 0},
      {"dot_s16_vnni_avx512", "s16 x s16 -> s32", Family::DotS16, "avx512", 1.1, 0},
      {"depthwise_u8s8_vnni_avx512", "u8 x s8 -> s32", Family::Depthwise, "avx512", 4, 0},
      {"winograd_u8s8_vnni_avx512", "u8 x s8 -> s32", Family::Winograd, "avx512", 1.1, 36},
      {"winograd_s16_vnni_avx512", "s16 x s16 -> s32", Family::Winograd4, "avx512", 1.1, 120},
      {"gemv_u8_packed_vnni_avx512", "u8 x packed s8 -> s32", Family::Gemv, "avx512", 26, 60},
      {"lookup_u8_vpermi2b_avx512", "u8 x bits -> s32", Family::Lookup, "avx512", 1.0, 17},
      {"planes_popcnt_avx512", "bits x bits -> s32", Family::Planes, "avx512", 3.1, 5},
      {"f32_avx512", "f32 x f32 -> f32", Family::Real, "avx512", 1.1, 0},
      // Not measured on Zen 4, which has no tiles: convolutions at 1150 to 1910 GMAC/s and 3.5 GHz, the lower half.
      {"dot_u8s8_tiles_amx", "u8 x s8 -> s32", Family::DotU8, "amx", 0.16, 0},
      // Not measured: counts of vector instructions, two per cycle.
      {"dot_u8s8_smlal_neon", "u8 x s8 -> s32", Family::DotU8, "neon", 7, 0},
      {"dot_s16_smlal_neon", "s16 x s16 -> s32", Family::DotS16, "neon", 4.5, 0},
      {"planes_cnt_neon", "bits x bits -> s32", Family::Planes, "neon", 12, 20},
      {"f32_neon", "f32 x f32 -> f32", Family::Real, "neon", 4.5, 0},
      {"dot_u8s8_sdot_dotprod", "u8 x s8 -> s32", Family::DotU8, "dotprod", 2.5, 0},
  };
  return table;
}

Choice choose_kernel(const LayerSpec& spec, const KernelSet& kernels, const std::string& prefer) {
  Choice best{nullptr, "", nullptr};
  std::string others;
  double best_cost = 0;
  for (const KernelRow& row : kernel_table()) {
    if (!belongs(row, kernels)) continue;
    const std::string why_not = obstacle(row.family, spec, kernels);
    if (why_not.empty() && prefer == word_of(row.family)) {
      return {&row, "asked for", make(row.family, spec, kernels)};
    }
    const double cycles = why_not.empty() ? cost(row, spec, kernels) : 0;
    others += std::string(others.empty() ? "" : "; ") + word_of(row.family) + ": " +
              (why_not.empty() ? in_kilocycles(cycles) : why_not);
    if (!why_not.empty() || (best.row != nullptr && cycles >= best_cost)) continue;
    best.row = &row;
    best_cost = cycles;
  }
  best.reason = "cheapest of " + others;
  best.layer = make(best.row->family, spec, kernels);
  return best;
}

}  // namespace kompakt
