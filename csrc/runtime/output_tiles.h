// Square tiles of outputs that Winograd's kernels compute at once, and where their sums go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/layer.h"

namespace kompakt {

inline size_t round_up_to(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

class OutputTiles {
 public:
  // Tiles of `unit` x `unit` pixels; about `per_pass` of them share one pass over the weights.
  OutputTiles(const Window& window, size_t unit, size_t per_pass)
      : out_(window.out), framed_(window), unit_(unit), per_pass_(per_pass) {
    framed_.out.height = round_up_to(window.out.height, unit);
    framed_.out.width = round_up_to(window.out.width, unit);
  }

  // The window with whole tiles.
  const Window& framed() const { return framed_; }
  // Tiles in a row of tiles.
  size_t across() const { return framed_.out.width / unit_; }
  // Tiles in whole rows of `pixels`.
  size_t count(size_t pixels) const { return (pixels / out_.width + unit_ - 1) / unit_ * across(); }

  // Rows of pixels for one pass, as many as for the others.
  size_t rows_per_pass() const {
    const size_t rows = framed_.out.height / unit_;
    const size_t passes = (rows * across() + per_pass_ - 1) / per_pass_;
    return unit_ * ((rows + passes - 1) / passes);
  }

  // Where outputs of `pixels` go, (tiles, unit, unit), and those outside the map: to `nowhere`.
  void set_targets(size_t pixels, int32_t* out, size_t pitch, int32_t* nowhere, int32_t** targets) const {
    const size_t width = out_.width, height = pixels / width;
    for (size_t y = 0; y < height; y += unit_)
      for (size_t x = 0; x < width; x += unit_)
        for (size_t i = 0; i < unit_ * unit_; ++i) {
          const size_t row = y + i / unit_, column = x + i % unit_;
          *targets++ = row < height && column < width ? out + (row * width + column) * pitch : nowhere;
        }
  }

 private:
  MapShape out_;
  Window framed_;
  size_t unit_, per_pass_;
};

}  // namespace kompakt
