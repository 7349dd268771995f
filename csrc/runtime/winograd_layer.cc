// 3x3 convolutions of small levels as Winograd's F(2x2, 3x3) on integers: 16 products per channel for four outputs
// instead of 36. Transformed operands are bytes (with one offset, whose share is in the bias), transformed weights are
// 4 times too large, and so are the sums, which are divided exactly.
#include <algorithm>
#include <cstdlib>

#include "runtime/operands.h"

namespace kompakt {
namespace {

constexpr int32_t kOperandGain = 4;  // a point adds and subtracts four pixels
constexpr int32_t kWeightGain = 9;   // 4 times a transformed weight adds and subtracts at most nine
constexpr int64_t kOutputGain = 4;

// Tiles of 4x4 pixels that share one pass over a block's weights.
constexpr size_t kTilesPerPass = 28;

// Longest row: a tile holds two of them, with all of their points.
constexpr size_t kMaxWidth = 2048;

struct Ranges {
  int32_t offset;    // of operands, so that none is negative
  int32_t operand;   // largest, offset included
  int32_t weight;    // largest magnitude
};

Ranges transformed(const LayerSpec& spec) {
  const Range x = levels_of(spec.input.encoding), w = levels_of(spec.weight.encoding);
  const int32_t low = std::min(x.low, 0), high = std::max(x.high, 0);  // padding is level 0
  const int32_t difference = 2 * (high - low);
  const int32_t offset = std::max(difference, -kOperandGain * low);
  return {offset, offset + std::max(difference, kOperandGain * high), kWeightGain * std::max(std::abs(w.low), w.high)};
}

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// The window with even numbers of output rows and columns.
Window whole_tiles(Window window) {
  window.out.height = round_up(window.out.height, 2);
  window.out.width = round_up(window.out.width, 2);
  return window;
}

class WinogradLayer final : public Layer {
 public:
  WinogradLayer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, blocks_across(spec.window)), input_(kernels.winograd_input), kernel_(kernels.winograd),
        framed_(whole_tiles(spec.window)), operands_(spec.input.encoding, kernels, 0) {
    frame_elements(framed_);
    const Ranges ranges = transformed(spec);
    offset_ = static_cast<uint8_t>(ranges.offset);
    flush_ = static_cast<size_t>(32767 / std::max(1, 2 * ranges.operand * ranges.weight));
    row_ = framed_.frame_width() * window_.in.channels;
    depth_ = round_up(window_.in.channels, 16);
    steps_ = (window_.in.channels + 3) / 4;
    across_ = framed_.out.width / 2;
    weights_.assign(blocks_.size() * 16 * steps_ * 4 * kLanes, 0);
    bias_.assign(blocks_.size() * 16 * kLanes, 0);
    for (size_t channel = 0; channel < window_.out.channels; ++channel) pack_channel(spec, channel);
  }

  size_t frame_bytes(size_t images) const override { return images * row_ * framed_.frame_height() + kSlack; }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    operands_.copy(framed_, map, images, frame);
  }

  size_t tile_rows() const override {
    const size_t rows = framed_.out.height / 2;
    const size_t bands = (rows * across_ + kTilesPerPass - 1) / kTilesPerPass;
    return 2 * ((rows + bands - 1) / bands);
  }

  size_t scratch_bytes(size_t pixels) const override {
    const size_t tiles = tiles_of(pixels);
    return tiles * (16 * depth_ + 4 * sizeof(int32_t*)) + rows_bytes() + blocks_.size() * kLanes * sizeof(int32_t) +
           4 * kSlack;
  }

  void run(const Tile& tile, const uint8_t* frame, uint8_t* scratch, void* out, size_t pitch) const override {
    const size_t tiles = tiles_of(tile.pixels);
    uint8_t* points = scratch;
    uint8_t* rows = points + tiles * 16 * depth_;
    auto** targets = reinterpret_cast<int32_t**>(rows + round_up(rows_bytes(), 64));
    transform(tile, frame, rows, points);
    set_targets(tile, static_cast<int32_t*>(out), pitch, reinterpret_cast<int32_t*>(targets + 4 * tiles), targets);
    WinogradArgs args{};
    args.in = points;
    args.tile_count = tiles;
    args.depth = depth_;
    args.steps = steps_;
    args.weights = weights_.data() + tile.first_block * 16 * steps_ * 4 * kLanes;
    args.block_count = tile.blocks;
    args.bias = bias_.data() + tile.first_block * 16 * kLanes;
    args.out = targets;
    args.flush = flush_;
    kernel_(args);
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  size_t tiles_of(size_t pixels) const { return (pixels / window_.out.width + 1) / 2 * across_; }
  size_t rows_bytes() const { return (2 * across_ + 2) * 4 * depth_; }

  void transform(const Tile& tile, const uint8_t* frame, uint8_t* rows, uint8_t* points) const {
    const size_t image = tile.first_pixel / window_.out.pixels();
    const size_t top = tile.first_pixel % window_.out.pixels() / window_.out.width;
    WinogradInput input{};
    input.in = frame + (image * framed_.frame_height() + top) * row_;
    input.row = row_;
    input.channels = window_.in.channels;
    input.tiles = across_;
    input.depth = depth_;
    input.offset = offset_;
    input.rows = rows;
    input.out = points;
    for (size_t done = 0; done < tiles_of(tile.pixels); done += across_) {
      input_(input);
      input.in += 2 * row_;
      input.out += across_ * 16 * depth_;
    }
  }

  // Where the four outputs of every tile go; those outside the map go to `nowhere`.
  void set_targets(const Tile& tile, int32_t* out, size_t pitch, int32_t* nowhere, int32_t** targets) const {
    const size_t width = window_.out.width, height = tile.pixels / width;
    for (size_t y = 0; y < height; y += 2)
      for (size_t x = 0; x < width; x += 2)
        for (size_t i = 0; i < 4; ++i) {
          const size_t row = y + i / 2, column = x + i % 2;
          *targets++ = row < height && column < width ? out + (row * width + column) * pitch : nowhere;
        }
  }

  void pack_channel(const LayerSpec& spec, size_t channel) {
    const size_t block = channel / kLanes, lane = channel % kLanes;
    for (size_t i = 0; i < window_.in.channels; ++i) {
      int32_t u[4][4];
      transform_weight(spec, channel, i, u);
      for (size_t r = 0; r < 4; ++r)
        for (size_t j = 0; j < 4; ++j) {
          const size_t column = block * 4 + j;
          weights_[(((column * steps_ + i / 4) * 4 + r) * kLanes + lane) * 4 + i % 4] = static_cast<int8_t>(u[r][j]);
          bias_[(column * 4 + r) * kLanes + lane] -= offset_ * u[r][j];
        }
    }
  }

  // u = (2G) g (2G)' of one input channel.
  static void transform_weight(const LayerSpec& spec, size_t channel, size_t input, int32_t (&u)[4][4]) {
    int32_t half[4][3];
    for (size_t kw = 0; kw < 3; ++kw) {
      int32_t g[3];
      for (size_t kh = 0; kh < 3; ++kh) g[kh] = spec.level(channel, input * 9 + kh * 3 + kw);
      const int32_t v[4] = {2 * g[0], g[0] + g[1] + g[2], g[0] - g[1] + g[2], 2 * g[2]};
      for (size_t r = 0; r < 4; ++r) half[r][kw] = v[r];
    }
    for (size_t r = 0; r < 4; ++r) {
      const int32_t* h = half[r];
      const int32_t v[4] = {2 * h[0], h[0] + h[1] + h[2], h[0] - h[1] + h[2], 2 * h[2]};
      std::copy(v, v + 4, u[r]);
    }
  }

  void (*input_)(const WinogradInput&);
  void (*kernel_)(const WinogradArgs&);
  Window framed_;  // with whole tiles
  Operands<uint8_t> operands_;
  uint8_t offset_ = 0;
  size_t flush_ = 1, row_ = 0, depth_ = 0, steps_ = 0, across_ = 0;
  std::vector<int8_t> weights_;
  std::vector<int32_t> bias_;
};

}  // namespace

std::string winograd_obstacle(const LayerSpec& spec, bool has_narrow_sums) {
  const Window& window = spec.window;
  const bool is_3x3 = window.kernel_h == 3 && window.kernel_w == 3 && window.stride_h == 1 && window.stride_w == 1 &&
                      window.dilation_h == 1 && window.dilation_w == 1 && window.groups == 1;
  if (!is_3x3) return "not a 3x3 window of stride 1";
  if (window.out.width > kMaxWidth) return "rows of more than " + std::to_string(kMaxWidth) + " pixels";
  const Ranges ranges = transformed(spec);
  if (ranges.operand > 255 || ranges.weight > 127) return "transformed levels exceed a byte";
  if (has_narrow_sums && 2 * ranges.operand * ranges.weight > 32767) return "sums of two may exceed int16";
  const Range x = levels_of(spec.input.encoding);
  const int64_t largest = kOutputGain * std::max(std::abs(x.low), x.high) * ranges.weight / kWeightGain;
  const auto products = static_cast<int64_t>(spec.per_channel());
  return products > INT32_MAX / std::max<int64_t>(1, largest) ? "four times a sum may exceed int32" : "";
}

std::unique_ptr<Layer> make_winograd(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<WinogradLayer>(spec, kernels);
}

}  // namespace kompakt
