// What both Winograd layers do: operands in frames of whole tiles, and the transform of a tile's rows to points.
#pragma once

#include "runtime/operands.h"
#include "runtime/output_tiles.h"

namespace kompakt {

// Convolutions that compute Unit x Unit outputs at once from (Unit + 2) x (Unit + 2) points of every channel.
template <size_t Unit>
class WinogradTiles : public Layer {
 public:
  size_t frame_bytes(size_t images) const override { return images * row_ * tiles_.framed().frame_height() + kSlack; }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    operands_.copy(tiles_.framed(), map, images, frame);
  }

  size_t tile_rows() const override { return tiles_.rows_per_pass(); }
  size_t row_unit() const override { return Unit; }

 protected:
  // About `per_pass` tiles share one pass over the weights; `offset` makes operands of levels.
  WinogradTiles(const LayerSpec& spec, const KernelSet& kernels, size_t per_pass, int32_t offset, size_t depth)
      : Layer(spec.window, blocks_across(spec.window)), tiles_(spec.window, per_pass), depth_(depth),
        operands_(spec.input.encoding, kernels, offset) {
    frame_elements(tiles_.framed());
    row_ = tiles_.framed().frame_width() * window_.in.channels;
  }

  // Every row of output tiles to points; `input` holds what the transform needs besides, and where points begin.
  template <typename Input>
  void transform(const Tile& tile, const uint8_t* frame, void (*kernel)(const Input&), Input input) const {
    constexpr size_t points = (Unit + 2) * (Unit + 2);
    const size_t image = tile.first_pixel / window_.out.pixels();
    const size_t top = tile.first_pixel % window_.out.pixels() / window_.out.width;
    input.in = frame + (image * tiles_.framed().frame_height() + top) * row_;
    input.row = row_;
    input.channels = window_.in.channels;
    input.tiles = tiles_.across();
    input.depth = depth_;
    for (size_t done = 0; done < tiles_.count(tile.pixels); done += input.tiles) {
      kernel(input);
      input.in += Unit * row_;
      input.out += input.tiles * points * depth_;
    }
  }

  OutputTiles<Unit> tiles_;
  size_t depth_;  // channels of a point, padded

 private:
  Operands<uint8_t> operands_;
  size_t row_ = 0;
};

}  // namespace kompakt
