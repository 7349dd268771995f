// Affine, residual, clamp and quantize as one step, for sums whose floats nothing else reads.
#include "runtime/rescale.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kompakt {
namespace {

using Kinds = Step::Kind;

bool is_at(const std::vector<Step>& steps, size_t at, Kinds kind) {
  return at < steps.size() && steps[at].kind == kind;
}

// Length of the run of steps at `at` that one rescale does; 0 for none.
size_t run_at(const std::vector<Step>& steps, size_t at) {
  if (!is_at(steps, at, Kinds::AffineAcc)) return 0;
  size_t end = at + 1;
  if (end < steps.size() && steps[end].residual != Residual::None) ++end;
  if (is_at(steps, end, Kinds::Clamp)) ++end;
  return is_at(steps, end, Kinds::Quantize) ? end + 1 - at : 0;
}

// Bounds before rounding as bounds of the rounded: quantize never descends, so it may change places with a clamp.
void clamp_codes(Step& step, float clamp_lo, float clamp_hi) {
  const auto code_of = [&step](float v) {
    return std::nearbyint(std::min(std::max(v * step.inv_step, step.lo), step.hi));
  };
  const float lo = code_of(clamp_lo), hi = code_of(clamp_hi);
  step.lo = lo;
  step.hi = hi;
}

Step merged(std::vector<Step>& steps, size_t at, size_t count) {
  Step step = std::move(steps[at + count - 1]);
  step.kind = Kinds::Rescale;
  step.m = std::move(steps[at].m);
  step.b = std::move(steps[at].b);
  for (size_t i = at + 1; i + 1 < at + count; ++i) {
    Step& other = steps[i];
    if (other.kind == Kinds::Clamp) {
      clamp_codes(step, other.lo, other.hi);
      continue;
    }
    step.residual = other.residual;
    step.map = other.map;
    step.map_channels = other.map_channels;
    step.sign = other.sign;
    step.scale = other.scale;
    step.values = std::move(other.values);
  }
  return step;
}

}  // namespace

void merge_rescales(std::vector<Step>& steps) {
  std::vector<Step> merged_steps;
  for (size_t at = 0; at < steps.size();) {
    const size_t count = run_at(steps, at);
    merged_steps.push_back(count > 0 ? merged(steps, at, count) : std::move(steps[at]));
    at += count > 0 ? count : 1;
  }
  steps = std::move(merged_steps);
}

bool suits_kernels(const Step& step) {
  if (step.kind == Kinds::Requantize) return step.addend != Addend::Sum;
  if (step.kind != Kinds::Rescale || step.residual == Residual::Real || step.residual == Residual::Table) return false;
  constexpr double largest_sum = 2147483648.0, largest_level = 255;
  const double residual = step.residual == Residual::Affine ? largest_level * std::abs(step.scale) : 0;
  for (size_t c = 0; c < step.m.size(); ++c) {
    const double bound = largest_sum * std::abs(step.m[c]) + std::abs(step.b[c]) + residual;
    if (!(bound * step.inv_step < largest_sum / 2)) return false;  // half: far more than all rounding
  }
  return true;
}

CodesArgs codes_args(const Step& step, const Maps& maps, const Row& row) {
  CodesArgs args{};
  if (step.kind == Kinds::Requantize) {
    args.left = step.left.data() + row.first_channel;
    args.offset = step.offset.data() + row.first_channel;
    args.right = step.right.data() + row.first_channel;
    args.residual_left = step.addend == Addend::None ? nullptr : step.map_left.data() + row.first_channel;
  } else {
    args.m = step.m.data() + row.first_channel;
    args.b = step.b.data() + row.first_channel;
  }
  if (step.residual == Residual::Affine || step.addend == Addend::Code) {
    args.residual = maps.at(step.map) + row.first_pixel * step.map_channels + row.first_channel;
    args.residual_pitch = step.map_channels;
  }
  args.sign = step.sign;
  args.scale = step.scale;
  args.inv_step = step.inv_step;
  args.is_signed = step.is_signed;
  args.lo = static_cast<uint8_t>(static_cast<int32_t>(step.lo));
  args.hi = static_cast<uint8_t>(static_cast<int32_t>(step.hi));
  args.mask = static_cast<uint8_t>((1 << step.bits) - 1);
  args.channels = row.channels;
  return args;
}

void run_rescale(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row) {
  RescaleArgs args{};
  args.x = row.acc;
  args.pixels = row.pixels;
  args.pitch = row.pitch;
  args.lanes = (row.channels + kLanes - 1) / kLanes * kLanes;
  args.m = step.m.data() + row.first_channel;
  args.b = step.b.data() + row.first_channel;
  args.residual = step.residual;
  if (step.residual != Residual::None) {
    const size_t element = step.residual == Residual::Real ? sizeof(float) : 1;
    args.map = maps.at(step.map) + (row.first_pixel * step.map_channels + row.first_channel) * element;
    args.map_pitch = step.map_channels;
  }
  args.sign = step.sign;
  args.scale = step.scale;
  args.values = step.values.data();
  args.inv_step = step.inv_step;
  args.lo = step.lo;
  args.hi = step.hi;
  args.mask = static_cast<uint8_t>((1 << step.bits) - 1);
  args.code = row.code;
  kernels.rows.rescale(args);
}

}  // namespace kompakt
