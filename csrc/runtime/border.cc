#include "runtime/border.h"

#include <algorithm>

namespace kompakt {
namespace {

struct Axis {
  size_t in, out, kernel, stride, pad, dilation;
};

TapRange taps_inside(const Axis& axis, size_t position) {
  const size_t start = position * axis.stride;  // in the padded map
  const size_t end = axis.in + axis.pad;
  const size_t before = start >= axis.pad ? 0 : (axis.pad - start + axis.dilation - 1) / axis.dilation;
  const size_t inside = start >= end ? 0 : (end - start + axis.dilation - 1) / axis.dilation;
  const size_t last = std::min(inside, axis.kernel);
  return {std::min(before, last), last};
}

void sort_positions(const Axis& axis, std::vector<TapRange>& ranges, std::vector<size_t>& classes) {
  for (size_t position = 0; position < axis.out; ++position) {
    const TapRange range = taps_inside(axis, position);
    const auto known = std::find(ranges.begin(), ranges.end(), range);
    classes.push_back(static_cast<size_t>(known - ranges.begin()));
    if (known == ranges.end()) ranges.push_back(range);
  }
}

}  // namespace

Border::Border(const Window& w) {
  sort_positions({w.in.height, w.out.height, w.kernel_h, w.stride_h, w.pad_h, w.dilation_h}, rows_, row_class_);
  sort_positions({w.in.width, w.out.width, w.kernel_w, w.stride_w, w.pad_w, w.dilation_w}, columns_, column_class_);
}

void Border::classes_of(size_t first, size_t count, size_t* classes) const {
  const size_t width = column_class_.size(), pixels = row_class_.size() * width;
  for (size_t i = 0; i < count; ++i) {
    const size_t pixel = (first + i) % pixels;
    classes[i] = row_class_[pixel / width] * columns_.size() + column_class_[pixel % width];
  }
}

}  // namespace kompakt
