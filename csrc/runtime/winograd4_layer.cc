// 3x3 convolutions of any levels within a byte as Winograd's F(4x4, 3x3) on integers of 16 bits: 36 products per channel
// for 16 outputs instead of 144.
//
// Operands are bytes, level + offset; the offset's share is in the bias. Outputs come 64 times too large out of modular
// arithmetic (winograd4/body.h), so channels are summed in parts that cannot exceed INT32_MAX / 64.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "runtime/operands.h"
#include "runtime/output_tiles.h"

namespace kompakt {
namespace {

constexpr size_t kUnit = 4, kPoints = 36;
constexpr int64_t kOutputGain = 64;

// Tiles of 6x6 pixels that share one pass over a block's weights.
constexpr size_t kTilesPerPass = 16;

// Longest row: a tile holds four of them, with all of their points.
constexpr size_t kMaxWidth = 1024;

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

class Winograd4Layer final : public Layer {
 public:
  Winograd4Layer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, blocks_across(spec.window)), input_(kernels.winograd4_input), kernel_(kernels.winograd4),
        tiles_(spec.window, kUnit, kTilesPerPass), operands_(spec.input.encoding, kernels, byte_offset(spec)) {
    frame_elements(tiles_.framed());
    row_ = tiles_.framed().frame_width() * window_.in.channels;
    depth_ = round_up_to(window_.in.channels, kLanes);
    steps_ = (window_.in.channels + 1) / 2;
    weights_.assign(blocks_.size() * kPoints * steps_ * kLanes * 2, 0);
    bias_.assign(blocks_.size() * kLanes, 0);
    Magnitudes magnitudes(window_.out.channels * steps_, 0);
    for (size_t channel = 0; channel < window_.out.channels; ++channel)
      pack_channel(spec, channel, magnitudes.data() + channel * steps_);
    const int32_t operand = levels_of(spec.input.encoding).high + byte_offset(spec);
    part_ = largest_part(magnitudes, steps_, INT32_MAX / kOutputGain / std::max(1, operand));
  }

  size_t frame_bytes(size_t images) const override { return images * row_ * tiles_.framed().frame_height() + kSlack; }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    operands_.copy(tiles_.framed(), map, images, frame);
  }

  size_t tile_rows() const override { return tiles_.rows_per_pass(); }
  size_t row_unit() const override { return kUnit; }

  size_t scratch_bytes(size_t pixels) const override {
    const size_t tiles = tiles_.count(pixels);
    return tiles * (points_bytes() + kUnit * kUnit * sizeof(int32_t*)) +
           rows_bytes() + blocks_.size() * kLanes * sizeof(int32_t) + kSlack;
  }

  void run(const Tile& tile, const uint8_t* frame, uint8_t* scratch, void* out, size_t pitch) const override {
    const size_t count = tiles_.count(tile.pixels);
    auto* points = reinterpret_cast<int16_t*>(scratch);
    auto** targets = reinterpret_cast<int32_t**>(scratch + count * points_bytes());
    auto* nowhere = reinterpret_cast<int32_t*>(targets + count * kUnit * kUnit);
    transform(tile, frame, reinterpret_cast<int16_t*>(nowhere + blocks_.size() * kLanes), points);
    tiles_.set_targets(tile.pixels, static_cast<int32_t*>(out), pitch, nowhere, targets);
    Winograd4Args args{};
    args.in = points;
    args.tile_count = count;
    args.depth = depth_;
    args.steps = steps_;
    args.part = part_;
    args.weights = weights_.data() + tile.first_block * kPoints * steps_ * kLanes * 2;
    args.block_count = tile.blocks;
    args.bias = bias_.data() + tile.first_block * kLanes;
    args.out = targets;
    kernel_(args);
  }

  size_t weight_bytes() const override { return weights_.size() * sizeof(int16_t); }

 private:
  // Of one tile's points, and of what is between the two halves of the transform.
  size_t points_bytes() const { return kPoints * depth_ * sizeof(int16_t); }
  size_t rows_bytes() const { return (kUnit * tiles_.across() + 2) * 6 * depth_ * sizeof(int16_t); }

  void transform(const Tile& tile, const uint8_t* frame, int16_t* rows, int16_t* points) const {
    const size_t image = tile.first_pixel / window_.out.pixels();
    const size_t top = tile.first_pixel % window_.out.pixels() / window_.out.width;
    Winograd4Input input{};
    input.in = frame + (image * tiles_.framed().frame_height() + top) * row_;
    input.row = row_;
    input.channels = window_.in.channels;
    input.tiles = tiles_.across();
    input.depth = depth_;
    input.rows = rows;
    input.out = points;
    for (size_t done = 0; done < tiles_.count(tile.pixels); done += input.tiles) {
      input_(input);
      input.in += kUnit * row_;
      input.out += input.tiles * kPoints * depth_;
    }
  }

  void pack_channel(const LayerSpec& spec, size_t channel, int32_t* magnitudes) {
    const size_t block = channel / kLanes, lane = channel % kLanes;
    int64_t sum = 0;
    for (size_t i = 0; i < window_.in.channels; ++i) {
      int32_t u[6][6];
      const auto [total, magnitude] = transform_weight(spec, channel, i, u);
      sum += total;
      magnitudes[i / 2] += magnitude;
      for (size_t point = 0; point < kPoints; ++point) {
        const size_t step = (block * kPoints + point) * steps_ + i / 2;
        weights_[(step * kLanes + lane) * 2 + i % 2] = static_cast<int16_t>(u[point % 6][point / 6]);
      }
    }
    bias_[channel] = static_cast<int32_t>(-byte_offset(spec) * sum);
  }

  // u = (6G) g (6G)' of one input channel; gives the sums of g and of its magnitudes.
  static std::pair<int32_t, int32_t> transform_weight(const LayerSpec& spec, size_t channel, size_t input, int32_t (&u)[6][6]) {
    const auto spread = [](const int32_t (&g)[3], int32_t (&v)[6]) {
      const int32_t ends = g[0] + g[2], far = g[0] + 4 * g[2];
      const int32_t all[6] = {6 * g[0], -ends - g[1], g[1] - ends, far + 2 * g[1], far - 2 * g[1], 6 * g[2]};
      std::copy(all, all + 6, v);
    };
    int32_t sum = 0, magnitude = 0, columns[3][6];
    for (size_t kw = 0; kw < 3; ++kw) {
      int32_t g[3];
      for (size_t kh = 0; kh < 3; ++kh) {
        g[kh] = spec.level(channel, input * 9 + kh * 3 + kw);
        sum += g[kh];
        magnitude += std::abs(g[kh]);
      }
      spread(g, columns[kw]);
    }
    for (size_t r = 0; r < 6; ++r) spread({columns[0][r], columns[1][r], columns[2][r]}, u[r]);
    return {sum, magnitude};
  }

  void (*input_)(const Winograd4Input&);
  void (*kernel_)(const Winograd4Args&);
  OutputTiles tiles_;
  Operands<uint8_t> operands_;
  size_t row_ = 0, depth_ = 0, steps_ = 0, part_ = 0;
  std::vector<int16_t> weights_;
  std::vector<int32_t> bias_;
};

}  // namespace

std::string winograd4_obstacle(const LayerSpec& spec) {
  if (!is_plain_3x3(spec.window)) return "not a 3x3 window of stride 1";
  if (spec.window.out.width > kMaxWidth) return "rows of more than " + std::to_string(kMaxWidth) + " pixels";
  return fits_bytes(spec) ? "" : "levels exceed a byte";
}

std::unique_ptr<Layer> make_winograd4(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<Winograd4Layer>(spec, kernels);
}

}  // namespace kompakt
