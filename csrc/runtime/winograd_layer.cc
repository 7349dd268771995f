// 3x3 convolutions of small levels as Winograd's F(2x2, 3x3) on integers: 16 products per channel for four outputs
// instead of 36. Transformed operands are bytes (with one offset, whose share is in the bias), transformed weights are
// 4 times too large, and so are the sums, which are divided exactly.
#include <algorithm>
#include <cstdlib>

#include "runtime/winograd_tiles.h"

namespace kompakt {
namespace {

constexpr int32_t kOperandGain = 4;  // a point adds and subtracts four pixels
constexpr int32_t kWeightGain = 9;   // 4 times a transformed weight adds and subtracts at most nine
constexpr int64_t kOutputGain = 4;

constexpr size_t kUnit = 2;

// Tiles of 4x4 pixels that share one pass over a block's weights.
constexpr size_t kTilesPerPass = 28;

// Expanded weights above this size, read once for an image, come from beyond the second-level cache: they are kept as
// levels of few bits, and expanded a block at a time into memory that is near.
constexpr size_t kManyWeightBytes = size_t{1} << 20;

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

class WinogradLayer final : public WinogradTiles<kUnit> {
 public:
  WinogradLayer(const LayerSpec& spec, const KernelSet& kernels)
      : WinogradTiles(spec, kernels, kTilesPerPass, 0, round_up_to(spec.window.in.channels, 16)),
        input_(kernels.winograd_input), kernel_(kernels.winograd), expand_(kernels.winograd_weights) {
    const Ranges ranges = transformed(spec);
    offset_ = static_cast<uint8_t>(ranges.offset);
    flush_ = static_cast<size_t>(32767 / std::max(1, 2 * ranges.operand * ranges.weight));
    steps_ = (window_.in.channels + 3) / 4;
    const bool is_read_once = tile_rows() >= tiles_.framed().out.height;
    is_expanded_ = !is_read_once || blocks_.size() * block_bytes() <= kManyWeightBytes;
    level_bits_ = field_bits(levels_of(spec.weight.encoding));
    if (is_expanded_)
      weights_.resize(blocks_.size() * block_bytes());
    else
      levels_.reserve(blocks_.size() * level_bytes());
    bias_.assign(blocks_.size() * 16 * kLanes, 0);
    for (size_t block = 0; block < blocks_.size(); ++block) pack_block(spec, block);
  }

  size_t scratch_bytes(size_t pixels) const override {
    const size_t tiles = tiles_.count(pixels);
    return tiles * (16 * depth_ + 4 * sizeof(int32_t*)) + rows_bytes() + blocks_.size() * kLanes * sizeof(int32_t) +
           (is_expanded_ ? 0 : block_bytes()) + 4 * kSlack;
  }

  void run(const Tile& tile, const uint8_t* frame, uint8_t* scratch, void* out, size_t pitch) const override {
    const size_t tiles = tiles_.count(tile.pixels);
    uint8_t* points = scratch;
    uint8_t* rows = points + tiles * 16 * depth_;
    auto** targets = reinterpret_cast<int32_t**>(rows + round_up_to(rows_bytes(), 64));
    WinogradInput input{};
    input.offset = offset_;
    input.rows = rows;
    input.out = points;
    transform(tile, frame, input_, input);
    auto* nowhere = reinterpret_cast<int32_t*>(targets + 4 * tiles);
    tiles_.set_targets(tile.pixels, static_cast<int32_t*>(out), pitch, nowhere, targets);
    WinogradArgs args{};
    args.in = points;
    args.tile_count = tiles;
    args.depth = depth_;
    args.steps = steps_;
    args.weights = is_expanded_ ? weights_.data() + tile.first_block * block_bytes() : nullptr;
    args.block_count = tile.blocks;
    args.bias = bias_.data() + tile.first_block * 16 * kLanes;
    args.out = targets;
    args.flush = flush_;
    if (is_expanded_) return kernel_(args);
    run_levels(args, tile, reinterpret_cast<int8_t*>(nowhere + blocks_.size() * kLanes), targets);
  }

  size_t weight_bytes() const override { return weights_.size() + levels_.size(); }

 private:
  size_t rows_bytes() const { return (2 * tiles_.across() + 2) * 4 * depth_; }
  size_t block_bytes() const { return 16 * steps_ * 4 * kLanes; }
  size_t fields() const { return static_cast<size_t>(8 / level_bits_); }
  size_t level_bytes() const { return (steps_ + fields() - 1) / fields() * 9 * 4 * kLanes; }

  // Bits of a two's complement that holds all levels.
  static int field_bits(Range levels) {
    for (const int bits : {2, 4})
      if (levels.low >= -(1 << (bits - 1)) && levels.high < 1 << (bits - 1)) return bits;
    return 8;
  }

  // Expands one block after the other to `weights`.
  void run_levels(WinogradArgs& args, const Tile& tile, int8_t* weights, int32_t** targets) const {
    args.weights = weights;
    args.block_count = 1;
    for (size_t block = tile.first_block; block < tile.first_block + tile.blocks; ++block) {
      expand_(levels_.data() + block * level_bytes(), level_bits_, steps_, weights);
      kernel_(args);
      args.bias += 16 * kLanes;
      for (size_t i = 0; i < 4 * args.tile_count; ++i) targets[i] += kLanes;
    }
  }

  void pack_block(const LayerSpec& spec, size_t block) {
    const int mask = (1 << level_bits_) - 1;
    std::vector<uint8_t> levels(level_bytes(), static_cast<uint8_t>(255 / mask << (level_bits_ - 1)));  // all of them 0
    for (size_t lane = 0; lane < blocks_[block].lanes; ++lane) {
      int32_t sums[9] = {};
      for (size_t i = 0; i < window_.in.channels; ++i) {
        const size_t step = i / 4, shift = step % fields() * static_cast<size_t>(level_bits_);
        uint8_t* packed = levels.data() + step / fields() * 9 * 4 * kLanes + lane * 4 + i % 4;
        for (size_t tap = 0; tap < 9; ++tap, packed += 4 * kLanes) {
          const int32_t level = spec.level(blocks_[block].channel + lane, 9 * i + tap);
          *packed = static_cast<uint8_t>(*packed ^ (level & mask) << shift);
          sums[tap] += level;
        }
      }
      pack_bias(sums, block, lane);
    }
    if (is_expanded_)
      expand_(levels.data(), level_bits_, steps_, weights_.data() + block * block_bytes());
    else
      levels_.insert(levels_.end(), levels.begin(), levels.end());
  }

  // -offset times the sums of transformed weights, which are the transform of the weights' sums.
  void pack_bias(const int32_t (&sums)[9], size_t block, size_t lane) {
    int32_t half[3][4], u[4];
    for (size_t kw = 0; kw < 3; ++kw) combine(sums[kw], sums[3 + kw], sums[6 + kw], half[kw]);
    for (size_t r = 0; r < 4; ++r) {
      combine(half[0][r], half[1][r], half[2][r], u);
      for (size_t j = 0; j < 4; ++j) bias_[((block * 4 + j) * 4 + r) * kLanes + lane] = -offset_ * u[j];
    }
  }

  // The rows of 2G (winograd/body.h) times (a, b, c).
  static void combine(int32_t a, int32_t b, int32_t c, int32_t (&v)[4]) {
    v[0] = 2 * a;
    v[1] = a + b + c;
    v[2] = a - b + c;
    v[3] = 2 * c;
  }

  void (*input_)(const WinogradInput&);
  void (*kernel_)(const WinogradArgs&);
  void (*expand_)(const uint8_t*, int, size_t, int8_t*);
  uint8_t offset_ = 0;
  size_t flush_ = 1, steps_ = 0;
  bool is_expanded_ = true;
  int level_bits_ = 8;
  std::vector<int8_t> weights_;  // transformed, if they are expanded
  std::vector<uint8_t> levels_;  // else
  std::vector<int32_t> bias_;
};

}  // namespace

std::string winograd_obstacle(const LayerSpec& spec, bool has_narrow_sums) {
  const Window& window = spec.window;
  if (!is_plain_3x3(window)) return "not a 3x3 window of stride 1";
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
