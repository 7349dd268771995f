// A conv2d or linear layer, packed at load for the kernel that runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/geometry.h"

namespace kompakt {

// What a kernel needs to know of a layer before it is packed.
struct LayerSpec {
  Window window;
  const Weight& weight;
  ValueType input;  // Kind::Code with its encoding, or Kind::F32

  // Integer level of the weight with flat C-order index `at` of output channel `channel` (not for float weights).
  int32_t level(size_t channel, size_t at) const {
    const Encoding& encoding = weight.encoding;
    return encoding.level(encoding.grains == 1 ? 0 : channel, weight.codes[channel * per_channel() + at]);
  }
  size_t per_channel() const { return window.group_inputs() * window.taps(); }
};

// Output channels [channel, channel + lanes) that one block of 16 lanes computes.
struct Block {
  size_t channel, lanes;
};

// Part of a layer: pixels run over all images, blocks over output channels.
struct Tile {
  size_t first_pixel, pixels, first_block, blocks;
};

class Layer {
 public:
  virtual ~Layer() = default;

  // Bytes that `prepare` writes for `images`; 0 when the layer reads its input map as it is stored.
  virtual size_t frame_bytes(size_t images) const = 0;
  // Turns input maps (images, H, W, C) into operands: padded, as levels or bit planes.
  virtual void prepare(const uint8_t* map, size_t images, uint8_t* frame) const = 0;
  // Bytes of private memory that `run` needs for a tile of `pixels`.
  virtual size_t scratch_bytes(size_t pixels) const = 0;
  // Pixels of a tile below which the kernel loses much of its speed.
  virtual size_t preferred_pixels() const { return 1; }
  // Above 0: tiles are whole rows of one image, best this many, else a multiple of `row_unit`, except at the end.
  virtual size_t tile_rows() const { return 0; }
  virtual size_t row_unit() const { return 1; }
  // Tiles start at a multiple of this many blocks.
  virtual size_t block_unit() const { return 1; }
  // Computes sums of a tile: out[p * pitch + c - first channel], int32 (float for f32 layers). Writes whole blocks.
  // `operands` is the frame, or the input maps where frame_bytes is 0.
  virtual void run(const Tile& tile, const uint8_t* operands, uint8_t* scratch, void* out, size_t pitch) const = 0;
  // Whether the kernel can make codes of sums while they are in registers.
  virtual bool makes_codes() const { return false; }
  // As `run`, for such layers.
  virtual void run_codes(const Tile&, const uint8_t*, uint8_t*, const CodesArgs&) const {}
  // Where in the frame whoever makes the input may store its codes, so that `prepare` is not needed; null: nowhere.
  virtual const Placement* input_placement() const { return nullptr; }
  // What remains of `prepare` then.
  virtual void fill_border(size_t, uint8_t*) const {}
  // Bytes of packed weights.
  virtual size_t weight_bytes() const = 0;

  const std::vector<Block>& blocks() const { return blocks_; }
  const Window& window() const { return window_; }

 protected:
  Layer(const Window& window, std::vector<Block> blocks) : window_(window), blocks_(std::move(blocks)) {}

  Window window_;
  std::vector<Block> blocks_;
};

std::unique_ptr<Layer> make_dot_u8(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_dot_s16(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_gemv(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_lookup(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_planes(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_depthwise(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_winograd(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_winograd4(const LayerSpec& spec, const KernelSet& kernels);
std::unique_ptr<Layer> make_real(const LayerSpec& spec, const KernelSet& kernels);

// Empty when levels are small enough for exact transforms, else why not. `has_narrow_sums`: two products must fit int16.
std::string winograd_obstacle(const LayerSpec& spec, bool has_narrow_sums);
std::string winograd4_obstacle(const LayerSpec& spec);
// Whether F(4x4, 3x3) transforms weights of such a layer at every run.
bool winograd4_keeps_levels(const Window& window);
// Whether the window is 3x3, of stride 1, neither dilated nor grouped.
bool is_plain_3x3(const Window& window);
// Taps of vpmaddubsw sums that fit int16 for this layer's ranges; 0 where one sum of two products may not fit.
size_t narrow_sums(const LayerSpec& spec);
// The same for weights up to a magnitude.
size_t narrow_sums(const LayerSpec& spec, int32_t weight);
// Whether every output channel reads one input channel of its own.
bool is_depthwise(const Window& window);
// What is added to input levels so that none is negative.
int32_t byte_offset(const LayerSpec& spec);
// Whether level + offset fits a byte for every level of the input.
bool fits_bytes(const LayerSpec& spec);
// Whether every output reads the map (of its group) exactly once.
bool reads_whole_map(const Window& window);
// Bits of a weight as the packed kernel of this level stores it.
int gemv_bits(const LayerSpec& spec, const KernelSet& kernels);
// Whether that kernel multiplies codes, not levels, which are evenly spaced then.
bool multiplies_codes(const LayerSpec& spec, const KernelSet& kernels);
// Rows of bits that make the weights' levels, per output channel (lookup).
size_t lookup_planes(const Encoding& encoding);
// Whether levels of both sides are weighted sums of bits.
bool is_planar(const LayerSpec& spec);

// Blocks of 16 neighbouring channels, across groups; or blocks that end where a group ends.
std::vector<Block> blocks_across(const Window& window);
std::vector<Block> blocks_per_group(const Window& window);

// The same from the tile's block `block` on.
CodesArgs codes_from(const CodesArgs& codes, size_t block);

// Input map of `images` copied into a frame with a border: `fill` writes border elements (pointer, count), `copy`
// converts a run of pixels of one row (source, target, pixels). Sizes are bytes per pixel.
struct FrameCopy {
  size_t source_pixel, target_pixel;
  std::function<void(uint8_t*, size_t)> fill;
  std::function<void(const uint8_t*, uint8_t*, size_t)> copy;
};
void copy_frame(const Window& window, const FrameCopy& how, const uint8_t* map, size_t images, uint8_t* frame);

// Elements of one image's frame. Throws ArtifactError ("size") above 2^31.
size_t frame_elements(const Window& window);

}  // namespace kompakt
