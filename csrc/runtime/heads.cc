#include "runtime/heads.h"

#include <algorithm>
#include <cstring>

#include "runtime/pooling.h"

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

template <typename T>
void gather_channels(const Stage& stage, const Maps& maps, const Row& row) {
  const size_t channels = stage.types[0].shape[0];
  const size_t* index = stage.node->index.data() + row.first_channel;
  for (size_t p = 0; p < row.pixels; ++p) {
    const T* from = map_of<T>(maps, stage.inputs[0]) + (row.first_pixel + p) * channels;
    T* to = buffer<T>(row) + p * row.pitch;
    for (size_t i = 0; i < row.channels; ++i) to[i] = from[index[i]];
  }
}

template <typename T>
void gather_positions(const Stage& stage, const Maps& maps, const Row& row) {
  const MapShape in(stage.types[0].shape);
  const std::vector<size_t>& index = stage.node->index;
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t pixel = row.first_pixel + p;
    const size_t source = pixel / index.size() * in.pixels() + index[pixel % index.size()];
    std::memcpy(buffer<T>(row) + p * row.pitch,
                map_of<T>(maps, stage.inputs[0]) + source * in.channels + row.first_channel, row.channels * sizeof(T));
  }
}

template <typename T>
void read_gather(const Stage& stage, const Maps& maps, const Row& row) {
  return stage.node->by_position ? gather_positions<T>(stage, maps, row) : gather_channels<T>(stage, maps, row);
}

void normalize(const Stage& stage, const KernelSet& kernels, const Maps& maps, const Row& row) {
  const float* map = map_of<float>(maps, stage.inputs[0]);
  for (size_t p = 0; p < row.pixels; ++p)
    kernels.floats.layer_norm(map + (row.first_pixel + p) * stage.channels, stage.channels, stage.node->eps,
                              row.first_channel, row.channels, row.real + p * row.pitch);
}

template <typename T>
void read_embedding(const Stage& stage, const std::vector<T>& table, const Maps& maps, const Row& row) {
  // One id per position, images one after the other; the engine has checked those of its input.
  const float* ids = map_of<float>(maps, stage.inputs[0]) + row.first_pixel;
  for (size_t p = 0; p < row.pixels; ++p) {
    const auto id = static_cast<size_t>(ids[p]);
    std::memcpy(buffer<T>(row) + p * row.pitch, table.data() + id * stage.channels + row.first_channel,
                row.channels * sizeof(T));
  }
}

template <typename T>
void run_move(const Stage& stage, const Maps& maps, const Row& row) {
  switch (stage.head) {
    case Head::Concat: return read_concat<T>(stage, maps, row);
    case Head::ShiftPad: return read_shift_pad<T>(stage, maps, row);
    case Head::Flatten: return read_flatten<T>(stage, maps, row);
    case Head::Gather: return read_gather<T>(stage, maps, row);
    default: return read_map<T>(stage, maps, row);
  }
}

// C planes of `size` elements, of which `run` pixels from `from` on become neighbours.
template <size_t C>
void read_planes(const float* __restrict__ from, size_t size, size_t run, size_t pitch, float* __restrict__ to) {
  for (size_t p = 0; p < run; ++p)
    for (size_t c = 0; c < C; ++c) to[p * pitch + c] = from[c * size + p];
}

}  // namespace

void read_input(const Stage& stage, const float* images, const Row& row) {
  const size_t channels = stage.channels, pixels = stage.pixels;
  if (pixels == 1) {
    const float* from = images + row.first_pixel * channels + row.first_channel;
    for (size_t p = 0; p < row.pixels; ++p)
      std::memcpy(row.real + p * row.pitch, from + p * channels, row.channels * sizeof(float));
    return;
  }
  for (size_t done = 0; done < row.pixels;) {  // a run of pixels of one image
    const size_t image = (row.first_pixel + done) / pixels, inside = (row.first_pixel + done) % pixels;
    const size_t run = std::min(row.pixels - done, pixels - inside);
    const float* from = images + (image * channels + row.first_channel) * pixels + inside;
    float* to = row.real + done * row.pitch;
    if (row.channels == 3) {  // colours: one pass, which stores neighbours
      read_planes<3>(from, pixels, run, row.pitch, to);
    } else {
      for (size_t c = 0; c < row.channels; ++c) read_planes<1>(from + c * pixels, pixels, run, row.pitch, to + c);
    }
    done += run;
  }
}

void read_frame(const Stage& stage, const uint8_t* frame, const Row& row) {
  const size_t first = row.first_pixel * stage.channels + row.first_channel;
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t from = first + p * stage.channels, to = p * row.pitch;
    if (stage.made.kind == Kind::Code)
      std::memcpy(row.code + to, frame + from, row.channels);
    else
      std::memcpy(row.real + to, frame + from * sizeof(float), row.channels * sizeof(float));
  }
}

void run_head(const Stage& stage, const KernelSet& kernels, const Maps& maps, const Row& row) {
  if (stage.head == Head::SumPool || stage.head == Head::MaxPool) return run_pool(stage, kernels, maps, row);
  if (stage.head == Head::Embedding) {
    const Node& node = *stage.node;
    if (node.weight.is_float) return read_embedding(stage, node.weight.values, maps, row);
    return read_embedding(stage, node.codes, maps, row);
  }
  if (stage.head == Head::LayerNorm) return normalize(stage, kernels, maps, row);
  const Kind kind = stage.types[0].kind;
  if (kind == Kind::Code) return run_move<uint8_t>(stage, maps, row);
  if (kind == Kind::Acc) return run_move<int32_t>(stage, maps, row);
  return run_move<float>(stage, maps, row);
}

}  // namespace kompakt
