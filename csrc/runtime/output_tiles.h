// Square tiles of outputs that Winograd's kernels compute at once, and where their sums go.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/layer.h"

namespace kompakt {

inline size_t round_up_to(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Tiles of Unit x Unit pixels.
template <size_t Unit>
class OutputTiles {
 public:
  // About `per_pass` tiles share one pass over the weights.
  OutputTiles(const Window& window, size_t per_pass) : out_(window.out), framed_(window), per_pass_(per_pass) {
    framed_.out.height = round_up_to(window.out.height, Unit);
    framed_.out.width = round_up_to(window.out.width, Unit);
  }

  // The window with whole tiles.
  const Window& framed() const { return framed_; }
  // Tiles in a row of tiles.
  size_t across() const { return framed_.out.width / Unit; }
  // Tiles in whole rows of `pixels`.
  size_t count(size_t pixels) const { return (pixels / out_.width + Unit - 1) / Unit * across(); }

  // Rows of pixels for one pass, as many as for the others.
  size_t rows_per_pass() const {
    const size_t rows = framed_.out.height / Unit;
    const size_t passes = (rows * across() + per_pass_ - 1) / per_pass_;
    return Unit * ((rows + passes - 1) / passes);
  }

  // Where outputs of `pixels` go, (tiles, Unit, Unit), and those outside the map: to `nowhere`.
  void set_targets(size_t pixels, int32_t* out, size_t pitch, int32_t* nowhere, int32_t** targets) const {
    const size_t width = out_.width, height = pixels / width;
    for (size_t y = 0; y < height; y += Unit)
      for (size_t x = 0; x < width; x += Unit)
        for (size_t row = y; row < y + Unit; ++row)
          for (size_t column = x; column < x + Unit; ++column)
            *targets++ = row < height && column < width ? out + (row * width + column) * pitch : nowhere;
  }

 private:
  MapShape out_;
  Window framed_;
  size_t per_pass_;
};

}  // namespace kompakt
