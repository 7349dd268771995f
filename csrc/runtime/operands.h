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
      : map_codes_(kernels.rows.map), levels_(256, 0), padding_(static_cast<Operand>(offset)), bits_(encoding.bits),
        is_identity_(sizeof(Operand) == 1) {
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
    const auto fill = [this, channels](uint8_t* at, size_t pixels) {
      std::fill_n(reinterpret_cast<Operand*>(at), pixels * channels, padding_);
    };
    const auto convert_run = [this, channels](const uint8_t* from, uint8_t* to, size_t pixels) {
      convert(from, pixels * channels, reinterpret_cast<Operand*>(to));
    };
    copy_frame(window, {channels, channels * sizeof(Operand), fill, convert_run}, map, images, frame);
  }

 private:
  void convert(const uint8_t* codes, size_t n, Operand* to) const {
    if constexpr (sizeof(Operand) == 1) {
      if (is_identity_)
        std::memcpy(to, codes, n);
      else if (is_flip_)
        flip(codes, n, levels_[0], to);
      else
        map_codes_(codes, n, levels_.data(), bits_, to);
    } else {
      for (size_t i = 0; i < n; ++i) to[i] = levels_[codes[i]];
    }
  }

  static void flip(const uint8_t* __restrict__ codes, size_t n, Operand bits, Operand* __restrict__ to) {
    for (size_t i = 0; i < n; ++i) to[i] = static_cast<Operand>(codes[i] ^ bits);
  }

  void (*map_codes_)(const uint8_t*, size_t, const uint8_t*, int, uint8_t*);
  std::vector<Operand> levels_;  // operand of every code
  Operand padding_;
  int bits_;
  bool is_identity_;
  bool is_flip_ = true;  // operands are the codes with bits flipped, as of signed levels
};

struct Range {
  int32_t low, high;
};

inline Range levels_of(const Encoding& encoding) {
  const auto [low, high] = std::minmax_element(encoding.table.begin(), encoding.table.end());
  return {*low, *high};
}

}  // namespace kompakt
