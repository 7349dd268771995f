#include "runtime/layer.h"

#include <algorithm>

#include "base/checked.h"

namespace kompakt {

bool is_plain_3x3(const Window& window) {
  return window.kernel_h == 3 && window.kernel_w == 3 && window.stride_h == 1 && window.stride_w == 1 &&
         window.dilation_h == 1 && window.dilation_w == 1 && window.groups == 1;
}

std::vector<Block> blocks_across(const Window& window) {
  std::vector<Block> blocks;
  for (size_t c = 0; c < window.out.channels; c += kLanes)
    blocks.push_back({c, std::min(kLanes, window.out.channels - c)});
  return blocks;
}

std::vector<Block> blocks_per_group(const Window& window) {
  std::vector<Block> blocks;
  const size_t size = window.group_outputs();
  for (size_t group = 0; group < window.groups; ++group)
    for (size_t c = 0; c < size; c += kLanes) blocks.push_back({group * size + c, std::min(kLanes, size - c)});
  return blocks;
}

CodesArgs codes_from(const CodesArgs& codes, size_t block) {
  const size_t channel = block * kLanes;
  CodesArgs part = codes;
  if (part.left != nullptr) {
    part.left += channel;
    part.offset += channel;
    part.right += channel;
    if (part.residual != nullptr) part.residual_left += channel;
  } else {
    part.m += channel;
    part.b += channel;
  }
  if (part.residual != nullptr) part.residual += channel;
  part.codes += channel;
  part.channels -= channel;
  return part;
}

size_t frame_elements(const Window& window) {
  const size_t area = checked_mul(window.frame_height(), window.frame_width(), "padded map");
  const size_t elements = checked_mul(area, window.in.channels, "padded map");
  if (elements > size_t{1} << 31)
    throw ArtifactError("size", "conv2d: expected a padded input map of at most 2^31 elements, found " +
                                    std::to_string(elements));
  return elements;
}

void copy_frame(const Window& window, const FrameCopy& how, const uint8_t* map, size_t images, uint8_t* frame) {
  const size_t width = window.frame_width();
  const size_t left = std::min(window.pad_w, width);
  const size_t middle = std::min(window.in.width, width - left);
  const size_t source_row = window.in.width * how.source_pixel;
  for (size_t image = 0; image < images; ++image) {
    for (size_t y = 0; y < window.frame_height(); ++y, frame += width * how.target_pixel) {
      if (y < window.pad_h || y - window.pad_h >= window.in.height) {
        how.fill(frame, width);
        continue;
      }
      const size_t right = left + middle;
      how.fill(frame, left);
      how.copy(map + (y - window.pad_h) * source_row, frame + left * how.target_pixel, middle);
      how.fill(frame + right * how.target_pixel, width - right);
    }
    map += window.in.height * source_row;
  }
}

}  // namespace kompakt
