// Layers on bit planes: sum over k of W[k] * X[k] with W = sum_i f_i u_i + f_0 and X = sum_j g_j a_j + g_0, where u_i
// and a_j are bits. Expanding gives AND + popcount per pair of planes, a term f_0 * (window sum of X), and, where
// g_0 != 0 (operand digits +-1), g_0 * sum_k (W[k] - f_0) per output channel. Padding has zero bits and must count as
// level 0, so the terms with g_0 sum only over positions inside the map, which depend on the pixel's place.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "runtime/border.h"
#include "runtime/layer.h"

namespace kompakt {
namespace {

// Integer factors of an encoding's bits: level = sum over i of factors[i] * bit_i + constant.
struct BitFactors {
  std::vector<int32_t> factors;
  int32_t constant = 0;
};

BitFactors bit_factors(const Encoding& encoding, size_t grain) {
  BitFactors result;
  for (int i = 0; i < encoding.bits; ++i) {
    if (encoding.kind == Encoding::Kind::Affine) {
      const bool is_sign = encoding.is_signed && i + 1 == encoding.bits;
      result.factors.push_back(is_sign ? -(1 << i) : 1 << i);
      continue;
    }
    const int32_t v = encoding.basis[grain * static_cast<size_t>(encoding.bits) + static_cast<size_t>(i)];
    result.factors.push_back(encoding.digits_pm ? 2 * v : v);
    if (encoding.digits_pm) result.constant -= v;
  }
  return result;
}

class PlanesLayer final : public Layer {
 public:
  PlanesLayer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, blocks_per_group(spec.window)),
        kernel_(kernels.planes),
        add_ones_(kernels.plane_sums),
        pack_(kernels.rows.pack),
        shape_(kernels.plane_shape),
        border_(spec.window) {
    frame_elements(window_);
    const BitFactors operand = bit_factors(spec.input.encoding, 0);
    operand_factors_ = operand.factors;
    operand_constant_ = static_cast<uint32_t>(operand.constant);
    group_bytes_ = ceil_div(window_.group_inputs(), shape_.inputs);
    const size_t width = window_.frame_width();
    frame_pixels_ = window_.frame_height() * width;
    plane_bytes_ = frame_pixels_ * group_bytes_;
    sums_at_ = ceil_div(window_.groups * operand_factors_.size() * plane_bytes_, sizeof(int32_t)) * sizeof(int32_t);
    pitch_ = {group_bytes_, width * group_bytes_, sums_at_ + window_.groups * frame_pixels_ * sizeof(int32_t)};
    sum_pitch_ = {1, width, pitch_.image / sizeof(int32_t)};
    weight_planes_ = static_cast<size_t>(spec.weight.encoding.bits);
    set_steps();
    pack_weights(spec);
    pack_factors(spec);
    pack_biases(spec);
  }

  size_t frame_bytes(size_t images) const override { return images * pitch_.image + kSlack; }

  // Frame of an image: (groups, planes, H, W, bytes of one group's bits), then sums of a group's levels (groups, H, W).
  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    for (size_t image = 0; image < images; ++image) {
      uint8_t* plane = frame;
      for (size_t group = 0; group < window_.groups; ++group) {
        int32_t* sums = reinterpret_cast<int32_t*>(frame + sums_at_) + group * frame_pixels_;
        std::fill_n(sums, frame_pixels_, 0);
        for (size_t j = 0; j < operand_factors_.size(); ++j, plane += plane_bytes_) {
          prepare_plane(map + group * window_.group_inputs(), static_cast<int>(j), plane);
          add_ones_(plane, frame_pixels_, group_bytes_, operand_factors_[j], sums);
        }
      }
      map += window_.in.elements();
      frame += pitch_.image;
    }
  }

  size_t scratch_bytes(size_t) const override { return 0; }
  size_t preferred_pixels() const override { return shape_.pixels; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    size_t offsets[kTilePixels], sum_offsets[kTilePixels], classes[kTilePixels], bias_rows[kTilePixels];
    int32_t sums[kTilePixels];
    window_offsets(window_, pitch_, tile.first_pixel, tile.pixels, offsets);
    window_offsets(window_, sum_pitch_, tile.first_pixel, tile.pixels, sum_offsets);
    classes_of(tile, classes);
    for (size_t p = 0; p < tile.pixels; ++p) bias_rows[p] = classes[p] * blocks_.size() * kLanes;
    const size_t per_group = blocks_.size() / window_.groups;
    const size_t end = tile.first_block + tile.blocks;
    PlanesArgs args{};
    args.plane_bytes = plane_bytes_;
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.taps = taps_.data();
    args.steps = taps_.size();
    args.sums = sums;
    args.operand_planes = operand_factors_.size();
    args.operand_factor = operand_factors_.data();
    args.weight_planes = weight_planes_;
    args.bias_rows = bias_rows;
    args.pitch = pitch;
    for (size_t b = tile.first_block; b < end; b += args.block_count) {
      const size_t group = b / per_group;
      args.block_count = std::min(end, (group + 1) * per_group) - b;
      args.in = operands + group * operand_factors_.size() * plane_bytes_;
      const auto* pixel_sums = reinterpret_cast<const int32_t*>(operands + sums_at_) + group * frame_pixels_;
      add_windows(pixel_sums, sum_offsets, tile.pixels, sums);
      if (operand_constant_ != 0) add_constants(classes, tile.pixels, sums);
      args.weights = weights_.data() + b * block_bytes();
      args.weight_factor = weight_factors_.data() + b * weight_planes_ * kLanes;
      args.window_factor = window_factors_.data() + b * kLanes;
      args.bias = bias_.data() + b * kLanes;
      // A block's unused lanes overlap the next group's first channels, which are written later.
      args.out = static_cast<int32_t*>(out) + (blocks_[b].channel - blocks_[tile.first_block].channel);
      kernel_(args);
    }
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  size_t block_bytes() const { return weight_planes_ * taps_.size() * kLanes * shape_.bytes; }

  // Kernel positions whose bits lie next to each other in the frame: a row of them, if nothing is in between.
  size_t segment_taps() const { return window_.dilation_w == 1 ? window_.kernel_w : 1; }
  size_t segment_bytes() const { return segment_taps() * group_bytes_; }
  size_t segment_steps() const { return ceil_div(segment_bytes(), shape_.bytes); }

  void set_steps() {
    for (size_t tap = 0; tap < window_.taps(); ++tap) {
      const size_t row = tap / window_.kernel_w * window_.dilation_h;
      const size_t column = tap % window_.kernel_w * window_.dilation_w;
      sum_taps_.push_back(row * sum_pitch_.row + column);
      if (tap % segment_taps() != 0) continue;
      const size_t start = row * pitch_.row + column * pitch_.column;
      for (size_t at = 0; at < segment_bytes(); at += shape_.bytes) taps_.push_back(start + at);
    }
  }

  // Sums of windows' levels.
  void add_windows(const int32_t* pixels, const size_t* windows, size_t count, int32_t* sums) const {
    for (size_t p = 0; p < count; ++p) {
      uint32_t sum = 0;
      for (const size_t tap : sum_taps_) sum += static_cast<uint32_t>(pixels[windows[p] + tap]);
      sums[p] = static_cast<int32_t>(sum);
    }
  }

  void prepare_plane(const uint8_t* map, int plane, uint8_t* frame) const {
    const auto fill = [this](uint8_t* at, size_t pixels) { std::memset(at, 0, pixels * group_bytes_); };
    const size_t channels = window_.in.channels, inputs = window_.group_inputs();
    const bool is_dense = window_.groups == 1 && channels % shape_.inputs == 0;
    const auto copy = [&](const uint8_t* from, uint8_t* to, size_t pixels) {
      if (is_dense) return pack_(from, pixels * channels, plane, to);
      for (size_t p = 0; p < pixels; ++p) pack_(from + p * channels, inputs, plane, to + p * group_bytes_);
    };
    copy_frame(window_, {channels, group_bytes_, fill, copy}, map, 1, frame);
  }

  void pack_weights(const LayerSpec& spec) {
    weights_.assign((blocks_.size() + 1) * block_bytes(), 0);
    for (size_t b = 0; b < blocks_.size(); ++b)
      for (size_t lane = 0; lane < blocks_[b].lanes; ++lane) pack_channel(spec, b, lane);
  }

  // Bits of a channel lie as those of a window, which tables want at the other end of a byte.
  void pack_channel(const LayerSpec& spec, size_t block, size_t lane) {
    size_t at = (blocks_[block].channel + lane) * spec.per_channel();
    for (size_t i = 0; i < window_.group_inputs(); ++i)
      for (size_t tap = 0; tap < window_.taps(); ++tap) {
        const uint8_t code = spec.weight.codes[at++];
        const size_t byte = tap % segment_taps() * group_bytes_ + i / shape_.inputs;
        const size_t step = tap / segment_taps() * segment_steps() + byte / shape_.bytes;
        for (size_t plane = 0; plane < weight_planes_; ++plane) {
          const size_t row = (block * weight_planes_ + plane) * taps_.size() + step;
          uint8_t& bits = weights_[(row * kLanes + lane) * shape_.bytes + byte % shape_.bytes];
          bits = static_cast<uint8_t>(bits | (code >> plane & 1) << i % shape_.inputs);
        }
      }
  }

  void pack_factors(const LayerSpec& spec) {
    weight_factors_.assign(blocks_.size() * weight_planes_ * kLanes, 0);
    window_factors_.assign(blocks_.size() * kLanes, 0);
    for (size_t b = 0; b < blocks_.size(); ++b) {
      for (size_t lane = 0; lane < blocks_[b].lanes; ++lane) {
        const BitFactors weight = weight_factors_of(spec, blocks_[b].channel + lane);
        for (size_t i = 0; i < weight_planes_; ++i)
          weight_factors_[(b * weight_planes_ + i) * kLanes + lane] = weight.factors[i];
        window_factors_[b * kLanes + lane] = weight.constant;
      }
    }
  }

  static BitFactors weight_factors_of(const LayerSpec& spec, size_t channel) {
    return bit_factors(spec.weight.encoding, spec.weight.encoding.grains == 1 ? 0 : channel);
  }

  // Classes of border pixels matter only where padding bits would not mean level 0.
  size_t class_count() const { return operand_constant_ == 0 ? 1 : border_.classes(); }

  void classes_of(const Tile& tile, size_t* classes) const {
    if (operand_constant_ == 0)
      std::fill_n(classes, tile.pixels, size_t{0});
    else
      border_.classes_of(tile.first_pixel, tile.pixels, classes);
  }

  // g_0 * number of products inside the map.
  void add_constants(const size_t* classes, size_t pixels, int32_t* sums) const {
    for (size_t p = 0; p < pixels; ++p) {
      const size_t inside = border_.rows(classes[p]).size() * border_.columns(classes[p]).size();
      const auto count = static_cast<uint32_t>(inside * window_.group_inputs());
      sums[p] = static_cast<int32_t>(static_cast<uint32_t>(sums[p]) + operand_constant_ * count);
    }
  }

  // (classes, blocks, 16): g_0 * sum of W - f_0 over the positions inside.
  void pack_biases(const LayerSpec& spec) {
    bias_.assign(class_count() * blocks_.size() * kLanes, 0);
    if (operand_constant_ == 0) return;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      for (size_t lane = 0; lane < blocks_[b].lanes; ++lane) {
        const std::vector<uint32_t> area = summed_area(spec, blocks_[b].channel + lane);
        for (size_t c = 0; c < class_count(); ++c)
          bias_[(c * blocks_.size() + b) * kLanes + lane] = static_cast<int32_t>(operand_constant_ * inside(area, c));
      }
    }
  }

  // (kernel_h + 1, kernel_w + 1): sums of a channel's W - f_0 over all positions above and left.
  std::vector<uint32_t> summed_area(const LayerSpec& spec, size_t channel) const {
    const size_t pitch = window_.kernel_w + 1;
    const int32_t constant = weight_factors_of(spec, channel).constant;
    std::vector<uint32_t> area((window_.kernel_h + 1) * pitch, 0);
    for (size_t kh = 0; kh < window_.kernel_h; ++kh)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw) {
        uint32_t sum = area[kh * pitch + kw + 1] + area[(kh + 1) * pitch + kw] - area[kh * pitch + kw];
        for (size_t i = 0; i < window_.group_inputs(); ++i)
          sum += static_cast<uint32_t>(spec.level(channel, i * window_.taps() + kh * window_.kernel_w + kw) - constant);
        area[(kh + 1) * pitch + kw + 1] = sum;
      }
    return area;
  }

  uint32_t inside(const std::vector<uint32_t>& area, size_t index) const {
    const size_t pitch = window_.kernel_w + 1;
    const TapRange rows = border_.rows(index), columns = border_.columns(index);
    return area[rows.last * pitch + columns.last] - area[rows.first * pitch + columns.last] -
           area[rows.last * pitch + columns.first] + area[rows.first * pitch + columns.first];
  }

  void (*kernel_)(const PlanesArgs&);
  void (*add_ones_)(const uint8_t*, size_t, size_t, int32_t, int32_t*);
  void (*pack_)(const uint8_t*, size_t, int, uint8_t*);
  PlaneShape shape_;
  Border border_;
  std::vector<int32_t> operand_factors_;
  uint32_t operand_constant_ = 0;  // g_0, modulo 2^32 as all sums
  size_t group_bytes_ = 0, plane_bytes_ = 0, frame_pixels_ = 0, sums_at_ = 0, weight_planes_ = 0;
  Pitch pitch_, sum_pitch_;  // of planes, in bytes; of sums, in numbers
  std::vector<size_t> taps_, sum_taps_;
  std::vector<uint8_t> weights_;
  std::vector<int32_t> weight_factors_, window_factors_, bias_;
};

}  // namespace

bool is_planar(const LayerSpec& spec) {
  return spec.input.encoding.kind != Encoding::Kind::Table && spec.weight.encoding.kind != Encoding::Kind::Table;
}

std::unique_ptr<Layer> make_planes(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<PlanesLayer>(spec, kernels);
}

}  // namespace kompakt
