// Codes to operands: level + offset as bytes (modulo 256) or as 16-bit numbers, with a border for padding.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/layer.h"

namespace kompakt {

template <typename Operand>
class Operands {
 public:
  Operands(const Encoding& encoding, const KernelSet& kernels, int32_t offset)
      : map_codes_(kernels.rows.map), widen_(kernels.rows.widen), levels_(256, 0),
        padding_(static_cast<Operand>(offset)), bits_(encoding.bits), is_identity_(sizeof(Operand) == 1), is_affine_(encoding.kind == Encoding::Kind::Affine),
        sign_(static_cast<int16_t>(encoding.is_signed ? 1 << (encoding.bits - 1) : 0)) {
    for (size_t code = 0; code < encoding.table.size(); ++code) {
      levels_[code] = static_cast<Operand>(encoding.table[code] + offset);
      is_identity_ = is_identity_ && levels_[code] == static_cast<Operand>(code);
      is_flip_ = is_flip_ && levels_[code] == (static_cast<Operand>(code) ^ levels_[0]);
    }
  }

  // Whether the operands are the codes.
  bool is_identity() const { return is_identity_; }

  // Input maps of `images` as frames (frame_height, frame_width, C).
  void copy(const Window& window, const uint8_t* map, size_t images, uint8_t* frame) const {
    const size_t channels = window.in.channels;
    const auto convert_run = [this, channels](const uint8_t* from, uint8_t* to, size_t pixels) {
      convert(from, pixels * channels, reinterpret_cast<Operand*>(to));
    };
    copy_frame(window, {channels, channels * sizeof(Operand), filler(channels), convert_run}, map, images, frame);
  }

  // Only what lies around the maps.
  void copy_border(const Window& window, size_t images, uint8_t* frame) const {
    const size_t channels = window.in.channels;
    const auto leave = [](const uint8_t*, uint8_t*, size_t) {};
    copy_frame(window, {0, channels * sizeof(Operand), filler(channels), leave}, frame, images, frame);
  }

  void convert(const uint8_t* codes, size_t n, Operand* to) const {
    if constexpr (sizeof(Operand) == 1) {
      if (is_identity_)
        std::memcpy(to, codes, n);
      else if (is_flip_)
        flip(codes, n, levels_[0], to);
      else
        map_codes_(codes, n, levels_.data(), bits_, to);
    } else if (is_affine_) {
      widen_(codes, n, sign_, to);
    } else {
      for (size_t i = 0; i < n; ++i) to[i] = levels_[codes[i]];
    }
  }

 private:
  std::function<void(uint8_t*, size_t)> filler(size_t channels) const {
    return [this, channels](uint8_t* at, size_t pixels) {
      std::fill_n(reinterpret_cast<Operand*>(at), pixels * channels, padding_);
    };
  }

  static void flip(const uint8_t* __restrict__ codes, size_t n, Operand bits, Operand* __restrict__ to) {
    for (size_t i = 0; i < n; ++i) to[i] = static_cast<Operand>(codes[i] ^ bits);
  }

  void (*map_codes_)(const uint8_t*, size_t, const uint8_t*, int, uint8_t*);
  void (*widen_)(const uint8_t*, size_t, int16_t, int16_t*);
  std::vector<Operand> levels_;  // operand of every code
  Operand padding_;
  int bits_;
  bool is_identity_;
  bool is_affine_;
  int16_t sign_;
  bool is_flip_ = true;  // operands are the codes with bits flipped, as of signed levels
};

// Where a layer reads its operands: the stored map, where operands are its codes and nothing is padded, or a frame.
template <typename Operand>
class Frame {
 public:
  Frame(const LayerSpec& spec, const KernelSet& kernels, int32_t offset)
      : window_(spec.window), operands_(spec.input.encoding, kernels, offset),
        is_direct_(operands_.is_identity() && !window_.is_padded()) {
    if (!is_direct_) frame_elements(window_);
    const size_t width = is_direct_ ? window_.in.width : window_.frame_width();
    const size_t height = is_direct_ ? window_.in.height : window_.frame_height();
    const size_t channels = window_.in.channels;
    pitch_ = {channels, width * channels, height * width * channels};
    holds_codes_ = !is_direct_ && operands_.is_identity() && window_.pad_w + window_.in.width <= width &&
                   window_.pad_h + window_.in.height <= height;
    placement_ = {window_.in, window_.pad_h * pitch_.row + window_.pad_w * channels, pitch_};
  }

  const Pitch& pitch() const { return pitch_; }
  const Operands<Operand>& operands() const { return operands_; }
  size_t bytes(size_t images) const { return is_direct_ ? 0 : images * pitch_.image * sizeof(Operand) + kSlack; }
  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const {
    operands_.copy(window_, map, images, frame);
  }
  const Placement* input_placement() const { return holds_codes_ ? &placement_ : nullptr; }
  void fill_border(size_t images, uint8_t* frame) const { operands_.copy_border(window_, images, frame); }

 private:
  Window window_;
  Operands<Operand> operands_;
  bool is_direct_, holds_codes_ = false;
  Pitch pitch_;
  Placement placement_;
};

struct Range {
  int32_t low, high;
};

inline Range levels_of(const Encoding& encoding) {
  const auto [low, high] = std::minmax_element(encoding.table.begin(), encoding.table.end());
  return {*low, *high};
}

}  // namespace kompakt
