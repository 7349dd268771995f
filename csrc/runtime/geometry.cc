#include "runtime/geometry.h"

namespace kompakt {

MapShape::MapShape(const std::vector<size_t>& shape) {
  channels = shape.at(0);
  if (shape.size() == 3) {
    height = shape[1];
    width = shape[2];
  }
}

Window::Window(const Node& node, const MapShape& input) : in(input), out(node.type.shape) {
  if (node.op == Op::Linear) return;
  kernel_h = node.kernel[0];
  kernel_w = node.kernel[1];
  stride_h = node.stride[0];
  stride_w = node.stride[1];
  pad_h = node.padding[0];
  pad_w = node.padding[1];
  dilation_h = node.dilation[0];
  dilation_w = node.dilation[1];
  groups = node.groups;
}

void pixel_offsets(const Placement& placement, size_t first, size_t count, size_t* offsets) {
  const Pitch& pitch = placement.pitch;
  const size_t width = placement.map.width, pixels = placement.map.pixels();
  for (size_t i = 0; i < count;) {
    const size_t image = (first + i) / pixels, inside = (first + i) % pixels;
    const size_t row = placement.origin + image * pitch.image + inside / width * pitch.row;
    for (size_t x = inside % width; x < width && i < count; ++x) offsets[i++] = row + x * pitch.column;
  }
}

void window_offsets(const Window& window, const Pitch& pitch, size_t first, size_t count, size_t* offsets) {
  const size_t image = first / window.out.pixels();
  const size_t inside = first % window.out.pixels();
  size_t y = inside / window.out.width, x = inside % window.out.width;
  size_t row = image * pitch.image + y * window.stride_h * pitch.row;
  for (size_t i = 0; i < count; ++i) {
    offsets[i] = row + x * window.stride_w * pitch.column;
    if (++x < window.out.width) continue;
    x = 0;
    row += window.stride_h * pitch.row;
    if (++y < window.out.height) continue;
    y = 0;
    row = ((first + i + 1) / window.out.pixels()) * pitch.image;
  }
}

}  // namespace kompakt
