// Shapes of convolution windows, and where a window lies in memory. A linear layer is a 1x1 convolution of a 1x1 map.
#pragma once

#include <cstddef>
#include <vector>

#include "base/program.h"

namespace kompakt {

// Largest number of pixels in a tile.
constexpr size_t kTilePixels = 128;

// Channels and pixels of a value: (C, H, W) has H * W pixels, (K,) has one.
struct MapShape {
  size_t channels = 1, height = 1, width = 1;

  MapShape() = default;
  explicit MapShape(const std::vector<size_t>& shape);
  size_t pixels() const { return height * width; }
  size_t elements() const { return channels * pixels(); }
};

// Window of conv2d, max_pool or sum_pool over `in`, giving `out`.
struct Window {
  MapShape in, out;
  size_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation_h = 1, dilation_w = 1;
  size_t groups = 1;

  Window(const Node& node, const MapShape& in);
  size_t group_inputs() const { return in.channels / groups; }
  size_t group_outputs() const { return out.channels / groups; }
  size_t taps() const { return kernel_h * kernel_w; }
  bool is_padded() const { return pad_h != 0 || pad_w != 0; }
  // Rows and columns that the windows touch, padding before the map included.
  size_t frame_height() const { return (out.height - 1) * stride_h + (kernel_h - 1) * dilation_h + 1; }
  size_t frame_width() const { return (out.width - 1) * stride_w + (kernel_w - 1) * dilation_w + 1; }
};

// Distances, in elements, between neighbours of a stored map or frame.
struct Pitch {
  size_t column = 0, row = 0, image = 0;
};

// Where the pixels of a map lie that is stored inside something larger.
struct Placement {
  MapShape map;
  size_t origin = 0;  // of the first pixel
  Pitch pitch;
};

// Writes to `offsets` where pixels [first, first + count) lie; pixels run over images, rows, columns.
void pixel_offsets(const Placement& placement, size_t first, size_t count, size_t* offsets);

// Writes to `offsets` where the windows of pixels [first, first + count) begin; pixels run over images, rows, columns.
void window_offsets(const Window& window, const Pitch& pitch, size_t first, size_t count, size_t* offsets);

}  // namespace kompakt
