// The verified program in memory: what docs/numerics.md defines and docs/format.md stores.
//
// Only `read_program` (format/reader.h) makes a Program from file content, and it returns only programs for which
// everything below holds; later stages rely on it without checking again:
//   * nodes are in topological order: node i reads values with ids <= i and gives value i + 1; value 0 is the input;
//   * every shape is inferred, has no zero extent, and all values of one image together hold <= 2^31 elements;
//   * weight levels lie in [-127, 127], activation levels in [-128, 255];
//   * no accumulator of conv2d, linear, sum_pool or requantize can leave int32;
//   * all floats are finite (except hi = +inf of a clamp without upper bound).
// Codes of weights stay in the file's bytes, which must outlive their use; an engine has packed them when it is made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/packed_codes.h"
#include "base/unary.h"

namespace kompakt {

// What a value holds: float32; exact int32 sums; or uint8 codes of an activation encoding.
enum class Kind { F32, Acc, Code };

// How codes mean integer levels.
struct Encoding {
  enum class Kind { Affine, Planes, Table };

  Kind kind = Kind::Affine;
  int bits = 0;                // 1..8
  bool is_signed = false;      // affine only
  bool digits_pm = false;      // planes only: digits are -1/+1, otherwise 0/1
  size_t grains = 1;           // 1, or output channels of a weight with grain "channel"
  std::vector<int16_t> basis;  // planes only: grains * bits, grain-major
  std::vector<int16_t> table;  // grains * 2^bits, grain-major: level of every code; filled for every kind

  size_t codes() const { return size_t{1} << bits; }
  int16_t level(size_t grain, size_t code) const { return table[grain * codes() + code]; }

  friend bool operator==(const Encoding& a, const Encoding& b) {
    return a.kind == b.kind && a.bits == b.bits && a.is_signed == b.is_signed && a.digits_pm == b.digits_pm &&
           a.grains == b.grains && a.basis == b.basis && a.table == b.table;
  }
  friend bool operator!=(const Encoding& a, const Encoding& b) { return !(a == b); }
};

// Weight of conv2d, shape (O, I/groups, KH, KW), or of linear, shape (O, I). Stored either as codes with an encoding,
// or as float32 values; exactly one of `codes` and `values` is filled, in C order.
struct Weight {
  bool is_float = false;
  std::vector<size_t> shape;
  Encoding encoding;          // when !is_float; grains is 1 or O
  PackedCodes codes;          // when !is_float
  std::vector<float> values;  // when is_float
};

// Type of a value, without the batch axis. `encoding` is meaningful for Kind::Code only and then has one grain.
struct ValueType {
  Kind kind = Kind::F32;
  std::vector<size_t> shape;  // (C, H, W) or (K,)
  Encoding encoding;
  uint64_t bound = 0;  // the largest magnitude of a sum of Kind::Acc, below 2^31
};

enum class Op {
  Quantize,
  Encode,
  Recode,
  Threshold,
  Requantize,
  Dequantize,
  Conv2d,
  Linear,
  Affine,
  Add,
  Clamp,
  MaxPool,
  SumPool,
  Concat,
  ShiftPad,
  Flatten,
  Unary,
  AddConstant,
  LayerNorm,
  Attention,
  Embedding,
  Lstm,
  Gru,
  Reshape,
  Gather,
};

// One operator. Attributes that the operator does not have keep their default value.
struct Node {
  Op op = Op::Flatten;
  std::string name;
  std::vector<int> inputs;  // value ids
  ValueType type;           // of the value that the node gives

  // quantize: code = clamp(rne(x * inv_step)); dequantize: float32(level) * scale. Both > 0 and normal.
  float inv_step = 1.0f;
  float scale = 1.0f;

  // encode, recode, threshold: index = count of passed thresholds, code = codes[index]; codes is a permutation of
  // 0 .. 2^bits - 1 for the bits of type.encoding. embedding with codes: the table's, (rows, C).
  std::vector<uint8_t> codes;
  std::vector<float> float_thresholds;  // encode: 2^bits - 1, strictly ascending
  std::vector<int32_t> thresholds;      // recode: 2^bits - 1, ascending; threshold: (C, 2^bits - 1), C order
  std::vector<int8_t> directions;       // threshold: (C,), +1 or -1

  // requantize: added to the aligned inputs (C,); bits by which each input is shifted left (inputs, C), and their sum
  // right (C,), each at most 30. The sum, half of the last bit included, fits int32.
  std::vector<int32_t> bias;
  std::vector<int8_t> left, right;
  int32_t top = 0;  // the highest level it gives

  // conv2d, linear; embedding: (rows, C); lstm, gru: of the state.
  Weight weight;

  // conv2d, max_pool, sum_pool: (height, width). A sum_pool over the whole map has kernel = (H, W) and is_global.
  std::array<size_t, 2> kernel{1, 1};
  std::array<size_t, 2> stride{1, 1};  // shift_pad uses stride[0] = stride[1]
  std::array<size_t, 2> padding{0, 0};
  std::array<size_t, 2> dilation{1, 1};
  size_t groups = 1;
  bool is_global = false;

  // affine: x * multipliers[c] + offsets[c], both (C,); lstm, gru: the same for sums of the state's product.
  std::vector<float> multipliers;
  std::vector<float> offsets;

  // clamp; hi is +inf where the file has null.
  float lo = 0.0f;
  float hi = 0.0f;

  // shift_pad: channels of level 0 put before and after.
  size_t before = 0;
  size_t after = 0;

  Unary function = Unary::Gelu;   // unary
  std::vector<float> constant;    // add_constant: (C, H, W) or (C,)
  float eps = 0.0f;               // layer_norm: > 0
  size_t heads = 1;               // attention; scores are multiplied by `scale`

  // gather: place in the input of every channel, or of every position, of the output.
  std::vector<size_t> index;
  bool by_position = false;
};

struct Program {
  std::vector<size_t> input_shape;  // without the batch axis; the input is always f32
  std::vector<Node> nodes;
  int output = 0;        // value id; the value is f32
  std::string metadata;  // the manifest's "metadata" object, canonical JSON text, never interpreted

  // The highest bit-width of a network of several, and the network at each lower one, in descending order; 0 and none
  // where there is one. Codes of a variant's weights are the first bits of those of the node of the same name.
  int bits = 0;
  std::vector<Program> variants;

  // Type of a value id; the input's is made on demand.
  ValueType value_type(int id) const {
    return id == 0 ? ValueType{Kind::F32, input_shape, {}} : nodes[static_cast<size_t>(id) - 1].type;
  }
};

}  // namespace kompakt
