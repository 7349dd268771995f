#include "runtime/heads.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace kompakt {
namespace {

// The row buffer of an element type.
template <typename T>
T* buffer(const Row& row);
template <>
int32_t* buffer<int32_t>(const Row& row) { return row.acc; }
template <>
float* buffer<float>(const Row& row) { return row.real; }
template <>
uint8_t* buffer<uint8_t>(const Row& row) { return row.code; }

template <typename T>
const T* map_of(const Maps& maps, int value) { return reinterpret_cast<const T*>(maps.at(value)); }

template <typename T>
void read_map(const Stage& stage, const Maps& maps, const Row& row) {
  const T* from = map_of<T>(maps, stage.inputs[0]) + row.first_pixel * stage.channels + row.first_channel;
  for (size_t p = 0; p < row.pixels; ++p)
    std::memcpy(buffer<T>(row) + p * row.pitch, from + p * stage.channels, row.channels * sizeof(T));
}

template <typename T>
void read_concat(const Stage& stage, const Maps& maps, const Row& row) {
  size_t start = 0;  // of the input's channels in the result
  const size_t end = row.first_channel + row.channels;
  for (size_t i = 0; i < stage.inputs.size(); ++i) {
    const size_t channels = stage.types[i].shape[0];
    const size_t first = std::max(start, row.first_channel), last = std::min(start + channels, end);
    const T* map = map_of<T>(maps, stage.inputs[i]) + row.first_pixel * channels;
    for (size_t p = 0; first < last && p < row.pixels; ++p)
      std::memcpy(buffer<T>(row) + p * row.pitch + first - row.first_channel, map + p * channels + first - start,
                  (last - first) * sizeof(T));
    start += channels;
  }
}

template <typename T>
T zero_of(const Stage&) { return T{0}; }
template <>
uint8_t zero_of<uint8_t>(const Stage& stage) {
  const std::vector<int16_t>& table = stage.types[0].encoding.table;
  const auto at = std::find(table.begin(), table.end(), int16_t{0});
  return at == table.end() ? uint8_t{0} : static_cast<uint8_t>(at - table.begin());
}

template <typename T>
void read_shift_pad(const Stage& stage, const Maps& maps, const Row& row) {
  const MapShape in(stage.types[0].shape), out(stage.made.shape);
  const size_t stride = stage.node->stride[0], before = stage.node->before;
  const size_t end = row.first_channel + row.channels;
  const size_t first = std::clamp(before, row.first_channel, end);
  const size_t last = std::clamp(before + in.channels, row.first_channel, end);
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t pixel = row.first_pixel + p;
    const size_t image = pixel / out.pixels(), y = pixel % out.pixels() / out.width, x = pixel % out.width;
    T* to = buffer<T>(row) + p * row.pitch;
    std::fill(to, to + row.channels, zero_of<T>(stage));
    if (first >= last) continue;
    const size_t source = image * in.pixels() + y * stride * in.width + x * stride;
    std::memcpy(to + first - row.first_channel,
                map_of<T>(maps, stage.inputs[0]) + source * in.channels + first - before, (last - first) * sizeof(T));
  }
}

// (H, W, C) to (C * H * W): result channel c * H * W + pixel.
template <typename T>
void read_flatten(const Stage& stage, const Maps& maps, const Row& row) {
  const MapShape in(stage.types[0].shape);
  for (size_t p = 0; p < row.pixels; ++p) {
    const T* image = map_of<T>(maps, stage.inputs[0]) + (row.first_pixel + p) * in.elements();
    T* to = buffer<T>(row) + p * row.pitch;
    size_t channel = row.first_channel / in.pixels(), pixel = row.first_channel % in.pixels();
    for (size_t i = 0; i < row.channels; ++i) {
      to[i] = image[pixel * in.channels + channel];
      if (++pixel == in.pixels()) pixel = 0, ++channel;
    }
  }
}

// Calls body(pixel in tile, source pixel) for every window position inside the map, (kh, kw) ascending per pixel.
template <typename Body>
void for_window(const Stage& stage, const Row& row, const Body& body) {
  const Window window(*stage.node, MapShape(stage.types[0].shape));
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t pixel = row.first_pixel + p;
    const size_t image = pixel / window.out.pixels(), inside = pixel % window.out.pixels();
    const size_t top = inside / window.out.width * window.stride_h;
    const size_t left = inside % window.out.width * window.stride_w;
    for (size_t kh = 0; kh < window.kernel_h; ++kh) {
      const size_t y = top + kh - window.pad_h;  // wraps to a huge number above the map
      if (y >= window.in.height) continue;
      for (size_t kw = 0; kw < window.kernel_w; ++kw) {
        const size_t x = left + kw - window.pad_w;
        if (x < window.in.width) body(p, (image * window.in.height + y) * window.in.width + x);
      }
    }
  }
}

template <typename T>
void clear(const Row& row, T value) {
  for (size_t p = 0; p < row.pixels; ++p)
    std::fill_n(buffer<T>(row) + p * row.pitch, row.channels, value);
}

void sum_pool_real(const Stage& stage, const Maps& maps, const Row& row) {
  const float* map = map_of<float>(maps, stage.inputs[0]) + row.first_channel;
  clear(row, 0.0f);
  for_window(stage, row, [&](size_t p, size_t source) {
    const float* from = map + source * stage.channels;
    float* to = row.real + p * row.pitch;
    for (size_t c = 0; c < row.channels; ++c) to[c] += from[c];
  });
}

bool is_unsigned(const Encoding& encoding) {
  return encoding.kind == Encoding::Kind::Affine && !encoding.is_signed;  // level = code
}

void sum_pool_code(const Stage& stage, const Maps& maps, const Row& row) {
  const Encoding& encoding = stage.types[0].encoding;
  const uint8_t* map = map_of<uint8_t>(maps, stage.inputs[0]) + row.first_channel;
  const bool is_plain = is_unsigned(encoding);
  const int16_t* levels = encoding.table.data();
  clear(row, int32_t{0});
  for_window(stage, row, [&](size_t p, size_t source) {
    const uint8_t* from = map + source * stage.channels;
    int32_t* to = row.acc + p * row.pitch;
    if (is_plain)
      for (size_t c = 0; c < row.channels; ++c) to[c] += from[c];
    else
      for (size_t c = 0; c < row.channels; ++c) to[c] += levels[from[c]];
  });
}

void max_pool_real(const Stage& stage, const Maps& maps, const Row& row) {
  const float* map = map_of<float>(maps, stage.inputs[0]) + row.first_channel;
  clear(row, -std::numeric_limits<float>::infinity());
  for_window(stage, row, [&](size_t p, size_t source) {
    const float* from = map + source * stage.channels;
    float* to = row.real + p * row.pitch;
    for (size_t c = 0; c < row.channels; ++c) to[c] = from[c] > to[c] ? from[c] : to[c];
  });
}

// Levels that ascend with the codes: the largest code wins, and code 0 loses to all.
void max_pool_plain(const Stage& stage, const Maps& maps, const Row& row) {
  const uint8_t* map = map_of<uint8_t>(maps, stage.inputs[0]) + row.first_channel;
  clear(row, uint8_t{0});
  for_window(stage, row, [&](size_t p, size_t source) {
    const uint8_t* from = map + source * stage.channels;
    uint8_t* to = row.code + p * row.pitch;
    for (size_t c = 0; c < row.channels; ++c) to[c] = from[c] > to[c] ? from[c] : to[c];
  });
}

// row.acc holds the best level so far; the first of equals stays.
void max_pool_code(const Stage& stage, const Maps& maps, const Row& row) {
  if (is_unsigned(stage.types[0].encoding)) return max_pool_plain(stage, maps, row);
  const uint8_t* map = map_of<uint8_t>(maps, stage.inputs[0]) + row.first_channel;
  const int16_t* levels = stage.types[0].encoding.table.data();
  clear(row, std::numeric_limits<int32_t>::min());
  for_window(stage, row, [&](size_t p, size_t source) {
    const uint8_t* from = map + source * stage.channels;
    int32_t* best = row.acc + p * row.pitch;
    uint8_t* code = row.code + p * row.pitch;
    for (size_t c = 0; c < row.channels; ++c) {
      const int32_t level = levels[from[c]];
      if (level <= best[c]) continue;
      best[c] = level;
      code[c] = from[c];
    }
  });
}

template <typename T>
void run_move(const Stage& stage, const Maps& maps, const Row& row) {
  switch (stage.head) {
    case Head::Concat: return read_concat<T>(stage, maps, row);
    case Head::ShiftPad: return read_shift_pad<T>(stage, maps, row);
    case Head::Flatten: return read_flatten<T>(stage, maps, row);
    default: return read_map<T>(stage, maps, row);
  }
}

}  // namespace

void read_input(const Stage& stage, const float* images, const Row& row) {
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t pixel = row.first_pixel + p;
    const float* from = images + pixel / stage.pixels * stage.pixels * stage.channels + pixel % stage.pixels +
                        row.first_channel * stage.pixels;
    for (size_t c = 0; c < row.channels; ++c) row.real[p * row.pitch + c] = from[c * stage.pixels];
  }
}

void run_head(const Stage& stage, const Maps& maps, const Row& row) {
  const Kind kind = stage.types[0].kind;
  switch (stage.head) {
    case Head::SumPool:
      return kind == Kind::Code ? sum_pool_code(stage, maps, row) : sum_pool_real(stage, maps, row);
    case Head::MaxPool:
      return kind == Kind::Code ? max_pool_code(stage, maps, row) : max_pool_real(stage, maps, row);
    default: break;
  }
  if (kind == Kind::Code) return run_move<uint8_t>(stage, maps, row);
  if (kind == Kind::Acc) return run_move<int32_t>(stage, maps, row);
  return run_move<float>(stage, maps, row);
}

}  // namespace kompakt
