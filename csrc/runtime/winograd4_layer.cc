// 3x3 convolutions of any levels within a byte as Winograd's F(4x4, 3x3) on integers of 16 bits: 36 products per
// channel for 16 outputs instead of 144.
//
// Operands are bytes, level + offset; the offset's share is in the bias. Outputs come 64 times too large out of modular
// arithmetic (winograd4/body.h), so channels are summed in parts that cannot exceed INT32_MAX / 64.
#include <algorithm>
#include <cstdlib>

#include "runtime/winograd_tiles.h"

namespace kompakt {
namespace {

constexpr size_t kUnit = 4, kPoints = 36;
constexpr int64_t kOutputGain = 64;

// Tiles of 6x6 pixels that share one pass over a block's weights.
constexpr size_t kTilesPerPass = 16;

// Transformed weights above this size, read once for an image, come from beyond the second-level cache: they are kept
// as levels, and transformed a few channels at a time on the way to the multiplier.
constexpr size_t kManyWeightBytes = size_t{1} << 20;

// Longest row: a tile holds four of them, with all of their points.
constexpr size_t kMaxWidth = 1024;

// Steps from point to point: an odd number of cache lines, so that the points of a step lie in different sets.
size_t point_pitch(const Window& window) { return (window.in.channels + 1) / 2 | 1; }

// Magnitudes of weights, summed over the taps of a pair of input channels: (outputs, steps).
using Magnitudes = std::vector<int32_t>;

// Whether the magnitudes of every `part` steps of every output stay within `limit`.
bool fits_part(const Magnitudes& magnitudes, size_t steps, size_t part, int64_t limit) {
  int64_t sum = 0;
  for (size_t at = 0; at < magnitudes.size(); ++at) {
    if (at % steps % part == 0) sum = 0;
    sum += magnitudes[at];
    if (sum > limit) return false;
  }
  return true;
}

// Steps of equal parts, as few parts as the limit allows; one step is always within it.
size_t largest_part(const Magnitudes& magnitudes, size_t steps, int64_t limit) {
  size_t part = steps;
  for (size_t parts = 2; part > 1 && !fits_part(magnitudes, steps, part, limit); ++parts)
    part = (steps + parts - 1) / parts;
  return part;
}

class Winograd4Layer final : public WinogradTiles<kUnit> {
 public:
  Winograd4Layer(const LayerSpec& spec, const KernelSet& kernels)
      : WinogradTiles(spec, kernels, kTilesPerPass, byte_offset(spec), round_up_to(spec.window.in.channels, kLanes)),
        input_(kernels.winograd4_input), kernel_(kernels.winograd4), expand_(kernels.winograd4_weights) {
    steps_ = (window_.in.channels + 1) / 2;
    pitch_ = point_pitch(window_);
    is_expanded_ = !winograd4_keeps_levels(window_);
    if (is_expanded_)
      weights_.resize(blocks_.size() * block_bytes() / sizeof(int16_t));
    else
      levels_.reserve(blocks_.size() * level_bytes());
    bias_.assign(blocks_.size() * kLanes, 0);
    Magnitudes magnitudes(window_.out.channels * steps_, 0);
    for (size_t block = 0; block < blocks_.size(); ++block)
      pack_block(spec, block, magnitudes.data() + block * kLanes * steps_);
    const int32_t operand = levels_of(spec.input.encoding).high + byte_offset(spec);
    part_ = largest_part(magnitudes, steps_, INT32_MAX / kOutputGain / std::max(1, operand));
  }

  size_t scratch_bytes(size_t pixels) const override {
    const size_t tiles = tiles_.count(pixels);
    return tiles * (points_bytes() + sums_bytes() + kUnit * kUnit * sizeof(int32_t*)) + rows_bytes() +
           blocks_.size() * kLanes * sizeof(int32_t) + kSlack;
  }

  void run(const Tile& tile, const uint8_t* frame, uint8_t* scratch, void* out, size_t pitch) const override {
    const size_t count = tiles_.count(tile.pixels);
    auto* points = reinterpret_cast<int16_t*>(scratch);
    auto* sums = reinterpret_cast<int32_t*>(scratch + count * points_bytes());
    auto** targets = reinterpret_cast<int32_t**>(scratch + count * (points_bytes() + sums_bytes()));
    auto* nowhere = reinterpret_cast<int32_t*>(targets + count * kUnit * kUnit);
    Winograd4Input input{};
    input.rows = reinterpret_cast<int16_t*>(nowhere + blocks_.size() * kLanes);
    input.out = points;
    transform(tile, frame, input_, input);
    tiles_.set_targets(tile.pixels, static_cast<int32_t*>(out), pitch, nowhere, targets);
    Winograd4Args args{};
    args.in = points;
    args.tile_count = count;
    args.depth = depth_;
    args.steps = steps_;
    args.part = part_;
    args.pitch = pitch_;
    args.block_count = tile.blocks;
    args.bias = bias_.data() + tile.first_block * kLanes;
    args.out = targets;
    if (is_expanded_) {
      args.weights = weights_.data() + tile.first_block * block_bytes() / sizeof(int16_t);
    } else {
      args.levels = levels_.data() + tile.first_block * level_bytes();
      args.sums = sums;
    }
    kernel_(args);
  }

  size_t weight_bytes() const override { return weights_.size() * sizeof(int16_t) + levels_.size(); }

 private:
  // Of a block's transformed weights, and of its levels.
  size_t block_bytes() const { return kPoints * pitch_ * kLanes * 2 * sizeof(int16_t); }
  size_t level_bytes() const { return steps_ * 9 * kLanes * 2; }
  // Of one tile's sums, where they are not on the stack.
  size_t sums_bytes() const { return is_expanded_ ? 0 : kPoints * kLanes * sizeof(int32_t); }
  // Of one tile's points, and of what is between the two halves of the transform.
  size_t points_bytes() const { return kPoints * depth_ * sizeof(int16_t); }
  size_t rows_bytes() const { return (kUnit * tiles_.across() + 2) * 6 * depth_ * sizeof(int16_t); }

  void pack_block(const LayerSpec& spec, size_t block, int32_t* magnitudes) {
    std::vector<uint8_t> levels(level_bytes(), 0);
    for (size_t lane = 0; lane < blocks_[block].lanes; ++lane) {
      int32_t sum = 0;
      for (size_t i = 0; i < window_.in.channels; ++i)
        for (size_t tap = 0; tap < 9; ++tap) {
          const int32_t level = spec.level(blocks_[block].channel + lane, 9 * i + tap);
          const size_t number = 2 * lane + i % 2;
          levels[(i / 2 * 9 + tap) * 2 * kLanes + number % kLanes * 2 + number / kLanes] = static_cast<uint8_t>(level);
          magnitudes[lane * steps_ + i / 2] += std::abs(level);
          sum += level;
        }
      bias_[block * kLanes + lane] = -byte_offset(spec) * sum;
    }
    if (is_expanded_)
      expand_(levels.data(), steps_, pitch_, weights_.data() + block * block_bytes() / sizeof(int16_t));
    else
      levels_.insert(levels_.end(), levels.begin(), levels.end());
  }

  void (*input_)(const Winograd4Input&);
  void (*kernel_)(const Winograd4Args&);
  void (*expand_)(const uint8_t*, size_t, size_t, int16_t*);
  size_t steps_ = 0, part_ = 0, pitch_ = 0;
  bool is_expanded_ = true;
  std::vector<int16_t> weights_;  // transformed, if they are expanded
  std::vector<uint8_t> levels_;    // else
  std::vector<int32_t> bias_;
};

}  // namespace

std::string winograd4_obstacle(const LayerSpec& spec) {
  if (!is_plain_3x3(spec.window)) return "not a 3x3 window of stride 1";
  if (spec.window.out.width > kMaxWidth) return "rows of more than " + std::to_string(kMaxWidth) + " pixels";
  return fits_bytes(spec) ? "" : "levels exceed a byte";
}

bool winograd4_keeps_levels(const Window& window) {
  const OutputTiles<kUnit> tiles(window, kTilesPerPass);
  const size_t bytes = blocks_across(window).size() * kPoints * point_pitch(window) * kLanes * 2 * sizeof(int16_t);
  return tiles.rows_per_pass() >= tiles.framed().out.height && bytes > kManyWeightBytes;
}

std::unique_ptr<Layer> make_winograd4(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<Winograd4Layer>(spec, kernels);
}

}  // namespace kompakt
