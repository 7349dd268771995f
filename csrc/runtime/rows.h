// Row buffers and the elementwise steps that run on them: what follows a layer in one fused stage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/program.h"
#include "kernels/kernels.h"
#include "runtime/geometry.h"

namespace kompakt {

// A part of a value in private memory: pixels x channels, `pitch` elements from pixel to pixel. Of the three buffers
// the current step's kind is the one that holds data.
struct Row {
  int32_t* acc;
  float* real;
  uint8_t* code;
  size_t first_pixel, pixels;  // over all images of the lot
  size_t first_channel, channels;
  size_t pitch;  // a multiple of 16 that leaves room for whole blocks; or `channels`
};

// Where values of a lot are stored: maps (images, H, W, C).
struct Maps {
  uint8_t* arena;
  const std::vector<size_t>* offsets;  // by value id

  uint8_t* at(int value) const { return arena + (*offsets)[static_cast<size_t>(value)]; }
};

// One elementwise operation, its parameters prepared at load.
struct Step {
  enum class Kind {
    AffineAcc, AffineReal, AddReal, AddCode, AddAffineCode, Clamp, Quantize, Encode, Threshold, MapCodes, Decode,
    DecodeAffine, Unary, AddConstant, Rescale, Requantize, StoreAcc, StoreReal, StoreCode
  };

  Kind kind;
  int map = -1;             // Add*: the other operand; Store*: the value
  size_t map_channels = 0;  // channels of that map
  int bits = 8;             // of the codes read or made
  float inv_step = 0, lo = 0, hi = 0;
  bool is_signed = false;              // Quantize, Rescale, Requantize: the codes made
  Residual residual = Residual::None;  // Rescale: what it adds; Add*: how it could
  Addend addend = Addend::None;        // Requantize
  int32_t sign = 0;  // *AffineCode, DecodeAffine, Requantize: sign bit of signed codes
  float scale = 0;   // of those
  Unary function = Unary::Gelu;
  const Placement* placement = nullptr;  // StoreCode: in the frame of the only reader; null: a plain map
  std::vector<float> m{}, b{};             // affine, padded with zeros
  std::vector<float> values{};           // AddCode, Decode: float of every code (256); AddConstant: (H, W, C)
  std::vector<float> real_thresholds{};  // Encode
  std::vector<int32_t> flip{};           // Threshold: all ones where direction is -1
  std::vector<int32_t> thresholds{};     // (count, pitch) up to 4 bits, (C, count) above; already flipped
  std::vector<int32_t> left{}, offset{}, right{}, map_left{};  // Requantize, padded with zeros
  std::array<uint8_t, 256> codes{};    // MapCodes

  bool reads_map() const {
    return kind == Kind::AddReal || kind == Kind::AddCode || kind == Kind::AddAffineCode ||
           residual != Residual::None || addend != Addend::None;
  }
  bool is_per_channel() const {
    return kind == Kind::AffineAcc || kind == Kind::AffineReal || kind == Kind::Threshold || kind == Kind::Rescale ||
           kind == Kind::Requantize;
  }
};

// Steps of an elementwise node whose input is `input`; `add` has its own functions.
std::vector<Step> make_steps(const Node& node, const ValueType& input);
Step make_add(int map, const ValueType& type);
Step make_add_codes(int map, const ValueType& type, float scale);
Step make_store(int value, const ValueType& type);

// Offsets in the value's memory at which a StoreCode puts the row's pixels; its first channel.
void store_offsets(const Step& step, const Row& row, size_t* offsets);

void run_step(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row);

}  // namespace kompakt
