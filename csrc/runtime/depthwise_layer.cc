// Depthwise convolutions on bytes: every output channel reads one input channel of its own.
#include <algorithm>

#include "runtime/operands.h"

namespace kompakt {
namespace {

// Pixels of a tile that make setting up a block worth while.
constexpr size_t kPixels = 32;

class DepthwiseLayer final : public Layer {
 public:
  DepthwiseLayer(const LayerSpec& spec, const KernelSet& kernels, int32_t offset)
      : Layer(spec.window, blocks_across(spec.window)), kernel_(kernels.depthwise),
        operands_(spec.input.encoding, kernels, offset), is_direct_(operands_.is_identity() && !window_.is_padded()) {
    if (!is_direct_) frame_elements(window_);
    const size_t width = is_direct_ ? window_.in.width : window_.frame_width();
    const size_t height = is_direct_ ? window_.in.height : window_.frame_height();
    pitch_ = {window_.in.channels, width * window_.in.channels, height * width * window_.in.channels};
    set_taps();
    weights_.assign(blocks_.size() * steps_ * kLanes * 4, 0);
    bias_.assign(blocks_.size() * kLanes, 0);
    for (size_t channel = 0; channel < window_.out.channels; ++channel) pack_channel(spec, channel, offset);
  }

  size_t frame_bytes(size_t images) const override { return is_direct_ ? 0 : images * pitch_.image + kSlack; }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    operands_.copy(window_, map, images, frame);
  }

  size_t scratch_bytes(size_t) const override { return 0; }
  size_t preferred_pixels() const override { return kPixels; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    size_t offsets[kTilePixels];
    window_offsets(window_, pitch_, tile.first_pixel, tile.pixels, offsets);
    DepthwiseArgs args{};
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.taps = taps_.data();
    args.steps = steps_;
    args.pitch = pitch;
    args.slide = slides() ? pitch_.column * window_.stride_w : 0;
    for (size_t b = 0; b < tile.blocks; ++b) {
      const size_t block = tile.first_block + b;
      args.in = operands + block * kLanes;
      args.weights = weights_.data() + block * steps_ * kLanes * 4;
      args.bias = bias_.data() + block * kLanes;
      args.out = static_cast<int32_t*>(out) + b * kLanes;
      kernel_(args);
    }
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  // Steps of four taps below each other, from left to right and then down.
  void set_taps() {
    steps_ = (window_.kernel_h + 3) / 4 * window_.kernel_w;
    for (size_t top = 0; top < window_.kernel_h; top += 4)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw)
        for (size_t kh = top; kh < top + 4; ++kh)
          taps_.push_back(std::min(kh, window_.kernel_h - 1) * window_.dilation_h * pitch_.row +
                          kw * window_.dilation_w * pitch_.column);
  }

  // Whether a pixel's window reads what its left neighbour's does, one step on.
  bool slides() const { return window_.kernel_h <= 4 && window_.stride_w == window_.dilation_w; }

  void pack_channel(const LayerSpec& spec, size_t channel, int32_t offset) {
    const size_t block = channel / kLanes, lane = channel % kLanes;
    int32_t sum = 0;
    for (size_t kh = 0; kh < window_.kernel_h; ++kh)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw) {
        const int32_t level = spec.level(channel, kh * window_.kernel_w + kw);
        const size_t step = block * steps_ + kh / 4 * window_.kernel_w + kw;
        weights_[(step * kLanes + lane) * 4 + kh % 4] = static_cast<int8_t>(level);
        sum += level;
      }
    bias_[channel] = static_cast<int32_t>(0u - static_cast<uint32_t>(sum) * static_cast<uint32_t>(offset));
  }

  void (*kernel_)(const DepthwiseArgs&);
  Operands<uint8_t> operands_;
  bool is_direct_;
  Pitch pitch_;
  size_t steps_ = 0;
  std::vector<size_t> taps_;
  std::vector<int8_t> weights_;
  std::vector<int32_t> bias_;
};

}  // namespace

bool is_depthwise(const Window& window) {
  return window.groups > 1 && window.group_inputs() == 1 && window.group_outputs() == 1;
}

std::unique_ptr<Layer> make_depthwise(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DepthwiseLayer>(spec, kernels, byte_offset(spec));
}

}  // namespace kompakt
