#include "runtime/pooling.h"

#include <algorithm>
#include <limits>

namespace kompakt {
namespace {

// Map positions that are handed over at a time.
constexpr size_t kPositions = 64;

// Positions of a window that lies inside the map, relative to the first one, (kh, kw) ascending; at most kPositions.
struct Positions {
  size_t at[kPositions];
  size_t count = 0;

  explicit Positions(const Window& window) {
    if (window.taps() > kPositions) return;
    for (size_t kh = 0; kh < window.kernel_h; ++kh)
      for (size_t kw = 0; kw < window.kernel_w; ++kw) at[count++] = kh * window.in.width + kw;
  }
};

// Calls body(pixel in tile, source pixels, count) for the positions of every window that lie inside the map, (kh, kw)
// ascending, at most kPositions at a time.
template <typename Body>
void for_window(const Stage& stage, const Row& row, const Body& body) {
  const Window window(*stage.node, MapShape(stage.types[0].shape));
  const Positions whole(window);
  size_t sources[kPositions];
  for (size_t p = 0; p < row.pixels; ++p) {
    const size_t pixel = row.first_pixel + p;
    const size_t image = pixel / window.out.pixels(), inside = pixel % window.out.pixels();
    // Above and left of the map these wrap to huge numbers.
    const size_t top = inside / window.out.width * window.stride_h - window.pad_h;
    const size_t left = inside % window.out.width * window.stride_w - window.pad_w;
    const size_t start = image * window.in.pixels();
    const bool is_whole = top < window.in.height && top + window.kernel_h <= window.in.height &&
                          left < window.in.width && left + window.kernel_w <= window.in.width;
    if (is_whole && whole.count > 0) {
      for (size_t k = 0; k < whole.count; ++k) sources[k] = start + top * window.in.width + left + whole.at[k];
      body(p, sources, whole.count);
      continue;
    }
    size_t count = 0;
    for (size_t kh = 0; kh < window.kernel_h; ++kh) {
      const size_t y = top + kh;
      if (y >= window.in.height) continue;
      for (size_t kw = 0; kw < window.kernel_w; ++kw) {
        const size_t x = left + kw;
        if (x >= window.in.width) continue;
        sources[count++] = start + y * window.in.width + x;
        if (count < kPositions) continue;
        body(p, sources, count);
        count = 0;
      }
    }
    if (count > 0) body(p, sources, count);
  }
}

template <typename T>
void clear(T* buffer, const Row& row, T value) {
  for (size_t p = 0; p < row.pixels; ++p) std::fill_n(buffer + p * row.pitch, row.channels, value);
}

template <typename T>
const T* map_of(const Stage& stage, const Maps& maps, const Row& row) {
  return reinterpret_cast<const T*>(maps.at(stage.inputs[0])) + row.first_channel;
}

template <typename Combine>
void pool_real(const Stage& stage, const Maps& maps, const Row& row, float start, const Combine& combine) {
  const float* map = map_of<float>(stage, maps, row);
  clear(row.real, row, start);
  for_window(stage, row, [&](size_t p, const size_t* sources, size_t count) {
    float* to = row.real + p * row.pitch;
    for (size_t k = 0; k < count; ++k) {
      const float* from = map + sources[k] * stage.channels;
      for (size_t c = 0; c < row.channels; ++c) to[c] = combine(to[c], from[c]);
    }
  });
}

// Calls body(pixel in tile, codes of `count` positions, count).
template <typename Body>
void for_codes(const Stage& stage, const Maps& maps, const Row& row, const Body& body) {
  const uint8_t* map = map_of<uint8_t>(stage, maps, row);
  const uint8_t* from[kPositions];
  for_window(stage, row, [&](size_t p, const size_t* sources, size_t count) {
    for (size_t k = 0; k < count; ++k) from[k] = map + sources[k] * stage.channels;
    body(p, from, count);
  });
}

uint8_t sign_bit(const Encoding& encoding) {
  return encoding.is_signed ? static_cast<uint8_t>(1 << (encoding.bits - 1)) : uint8_t{0};
}

void sum_codes(const Stage& stage, const RowOps& ops, const Maps& maps, const Row& row) {
  const Encoding& encoding = stage.types[0].encoding;
  clear(row.acc, row, int32_t{0});
  for_codes(stage, maps, row, [&](size_t p, const uint8_t* const* from, size_t count) {
    int32_t* to = row.acc + p * row.pitch;
    if (encoding.kind == Encoding::Kind::Affine) return ops.sum_codes(from, count, row.channels, sign_bit(encoding), to);
    for (size_t k = 0; k < count; ++k)
      for (size_t c = 0; c < row.channels; ++c) to[c] += encoding.table[from[k][c]];
  });
}

// Whether code ^ flip has the order of levels, none of them equal.
bool is_ordered(const Encoding& encoding, uint8_t flip) {
  for (size_t i = 1; i < encoding.table.size(); ++i)
    if (encoding.table[(i - 1) ^ flip] >= encoding.table[i ^ flip]) return false;
  return true;
}

// row.acc holds the best level so far; the first of equals stays.
void max_levels(const Stage& stage, const Maps& maps, const Row& row) {
  const int16_t* levels = stage.types[0].encoding.table.data();
  clear(row.acc, row, std::numeric_limits<int32_t>::min());
  for_codes(stage, maps, row, [&](size_t p, const uint8_t* const* from, size_t count) {
    int32_t* best = row.acc + p * row.pitch;
    uint8_t* code = row.code + p * row.pitch;
    for (size_t k = 0; k < count; ++k) {
      for (size_t c = 0; c < row.channels; ++c) {
        const int32_t level = levels[from[k][c]];
        if (level <= best[c]) continue;
        best[c] = level;
        code[c] = from[k][c];
      }
    }
  });
}

void max_codes(const Stage& stage, const RowOps& ops, const Maps& maps, const Row& row) {
  const uint8_t flip = sign_bit(stage.types[0].encoding);
  if (!is_ordered(stage.types[0].encoding, flip)) return max_levels(stage, maps, row);
  clear(row.code, row, flip);  // the lowest level
  for_codes(stage, maps, row, [&](size_t p, const uint8_t* const* from, size_t count) {
    ops.max_codes(from, count, row.channels, flip, row.code + p * row.pitch);
  });
}

}  // namespace

void run_pool(const Stage& stage, const KernelSet& kernels, const Maps& maps, const Row& row) {
  const bool is_max = stage.head == Head::MaxPool;
  if (stage.types[0].kind == Kind::Code)
    return is_max ? max_codes(stage, kernels.rows, maps, row) : sum_codes(stage, kernels.rows, maps, row);
  if (is_max)
    pool_real(stage, maps, row, -std::numeric_limits<float>::infinity(),
              [](float best, float x) { return x > best ? x : best; });
  else
    pool_real(stage, maps, row, 0.0f, [](float sum, float x) { return sum + x; });
}

}  // namespace kompakt
