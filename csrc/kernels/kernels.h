// The kernels of one instruction set level, as plain functions of plain structs.
//
// Each level is one translation unit (portable.cc, avx2.cc, ...) whose internals live in an anonymous namespace
// and whose only exported symbol returns its KernelSet. This header holds no inline function, so that no code is
// shared between levels. Pointers need no alignment; results are bit-equal across levels and independent of how
// pixels and blocks are split over calls.
//
// A *block* is 16 output channels (lanes). Lanes beyond the last channel of a block have zero weights; kernels write
// them, callers leave room for them and ignore them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/unary.h"

namespace kompakt {

constexpr size_t kLanes = 16;

// Bytes that must be readable behind every operand, because vectors are loaded whole.
constexpr size_t kSlack = 64;

// How a kernel turns sums into codes while they are in registers, instead of storing them:
// code = clamp(rne(((x * m + b) + residual) * inv_step), lo, hi) & mask, as `rescale` does. The caller proved that the
// rounded value fits int32. With `left` whole numbers alone, as `requantize` does:
// code = clamp(((x << left) + (residual << residual_left) + offset) >> right, lo, hi) & mask.
struct CodesArgs {
  const int32_t* left;  // null, or these four and neither m, b, scale nor inv_step; whole blocks, as those
  const int32_t* offset;
  const int32_t* right;
  const int32_t* residual_left;
  const float* m;  // of the first block's channels, whole blocks
  const float* b;
  const uint8_t* residual;  // null, or codes of level (code ^ sign) - sign, times scale; whole blocks readable
  size_t residual_pitch;    // from pixel to pixel
  int32_t sign;
  float scale;
  float inv_step;
  bool is_signed;          // codes are two's complement
  uint8_t lo, hi, mask;    // bounds as bytes of such codes, before masking
  uint8_t* codes;         // of the first block
  const size_t* targets;  // (pixels,): offset of every pixel's codes
  size_t channels;        // from the first block on; what lies behind is not written
};

// acc[p][c] = bias[c] + sum over k of in[pixel p, tap k] * weight[c][k], modulo 2^32; exact because the caller proved
// that the final value fits int32.
template <typename Operand, typename Weight>
struct DotArgs {
  const Operand* in;      // operands, element offsets below
  const size_t* pixels;   // offset of every pixel's window
  size_t pixel_count;
  const size_t* taps;     // offset inside the window of every group of 4 / sizeof(Operand) neighbouring operands
  size_t tap_count;
  const Weight* weights;  // (blocks, taps, 16, 4 / sizeof(Operand))
  size_t block_count;
  const int32_t* bias;    // (blocks, 16)
  int32_t* out;           // (pixels, pitch): 16 sums per block
  size_t pitch;
  // Taps after which a level with 16-bit partial sums must widen them: no lane's sum of so many neighbouring taps can
  // leave int16. Other levels ignore it.
  size_t flush;
  const CodesArgs* codes;  // null: sums go to `out`
};
using DotU8 = DotArgs<uint8_t, int8_t>;
using DotS16 = DotArgs<int16_t, int16_t>;

// How a level's `planes` reads bits: `inputs` neighbouring inputs share a byte of a plane, `bytes` bytes are a *step*.
// 4 inputs are the upper half of a byte, which is then the offset of a table of 16 bytes.
// Calls are best of at least `pixels` pixels.
struct PlaneShape {
  size_t inputs, bytes, pixels;
};

// acc[p][c] = bias[bias_rows[p]][c] + window_factor[c] * sums[p]
//             + sum over i, j of weight_factor[i][c] * operand_factor[j] * popcount(weight plane i & operand plane j).
// Where a step reaches beyond a window's bits, its weights are zero.
struct PlanesArgs {
  const uint8_t* in;       // the first operand plane
  size_t plane_bytes;      // from plane to plane
  const size_t* pixels;    // (pixels,): offset of every pixel's window in a plane
  size_t pixel_count;
  const size_t* taps;      // (steps,): offset of every step's operands in a window
  size_t steps;
  const int32_t* sums;     // (pixels,)
  size_t operand_planes;
  const int32_t* operand_factor;  // (operand_planes,)
  const uint8_t* weights;  // (blocks, weight_planes, steps, 16, bytes of a step); readable for one block more
  size_t block_count;
  size_t weight_planes;
  const int32_t* weight_factor;  // (blocks, weight_planes, 16)
  const int32_t* window_factor;  // (blocks, 16)
  const int32_t* bias;       // rows of (blocks, 16)
  const size_t* bias_rows;   // (pixels,): offset of every pixel's row
  int32_t* out;              // (pixels, pitch)
  size_t pitch;
};

// out[p][c] = bias[c] + sum over s, j of in[pixel p + tap (s, j) + c] * weight[s][c][j], modulo 2^32.
struct DepthwiseArgs {
  const uint8_t* in;  // at the first block's first channel
  const size_t* pixels;
  size_t pixel_count;
  const size_t* taps;  // (steps, 4)
  size_t steps;
  size_t column_taps;     // 4; or less, where the taps behind have zero weights
  const int8_t* weights;  // (blocks, steps, 16, 4)
  size_t block_count;
  const int32_t* bias;    // (blocks, 16)
  int32_t* out;           // (pixels, pitch): 16 sums per block
  size_t pitch;
  // A window `slide` behind another reads at step s what the other reads at step s + `slide_steps`; 0: none does.
  size_t slide, slide_steps;
  const CodesArgs* codes;  // null: sums go to `out`; else `steps` is kCodeSteps
};
constexpr size_t kCodeSteps = 3;

// Operands of a row of tiles for WinogradArgs: 16 points per tile of 4x4 pixels, tiles two pixels apart.
struct WinogradInput {
  const uint8_t* in;  // levels modulo 256, of four rows of pixels
  size_t row;         // bytes from row to row
  size_t channels;    // bytes from pixel to pixel
  size_t tiles;
  size_t depth;       // bytes per point: channels rounded up to a multiple of 16
  uint8_t offset;     // added to every point
  uint8_t* rows;      // working memory: (2 * tiles + 2, 4, depth)
  uint8_t* out;       // (tiles, 4 columns, 4 rows, depth)
};

// Four outputs per tile, as winograd/body.h defines them; sums modulo 2^32 before the division.
struct WinogradArgs {
  const uint8_t* in;  // (tiles, 4 columns, 4 rows, depth)
  size_t tile_count;
  size_t depth;
  size_t steps;  // groups of 4 channels in use
  const int8_t* weights;  // (blocks, 4 columns, steps, 4 rows, 16, 4)
  size_t block_count;
  const int32_t* bias;  // (blocks, 4 columns, 4 rows, 16), of the points
  int32_t* const* out;  // (tiles, 2, 2): where 16 sums per block go
  size_t flush;         // as in DotArgs, here of groups
};

// Operands of a row of tiles for Winograd4Args: 36 points per tile of 6x6 pixels, tiles four pixels apart.
struct Winograd4Input {
  const uint8_t* in;  // of six rows of pixels
  size_t row;         // bytes from row to row
  size_t channels;    // bytes from pixel to pixel
  size_t tiles;
  size_t depth;   // numbers per point: channels rounded up to a multiple of 16
  int16_t* rows;  // working memory: (4 * tiles + 2, 6, depth)
  int16_t* out;   // (tiles, 6 columns, 6 rows, depth)
};

// 16 outputs per tile, as winograd4/body.h defines them.
struct Winograd4Args {
  const int16_t* in;  // (tiles, 36 points, depth)
  size_t tile_count;
  size_t depth;
  size_t steps;  // pairs of channels in use
  size_t part;   // pairs whose share of an output is proven to fit INT32_MAX / 64
  size_t pitch;  // steps from point to point of the weights
  const int16_t* weights;  // (blocks, 36 points, pitch, 16, 2)
  const uint8_t* levels;   // or null; of every block as in winograd4_weights, in place of weights
  int32_t* sums;           // with levels, working memory: (tiles, 36 points, 16)
  size_t block_count;
  const int32_t* bias;  // (blocks, 16), of the outputs
  int32_t* const* out;  // (tiles, 4, 4): where 16 outputs per block go
};

// out[image][row] = bias[row] + sum over k of in[image][k] * level of code[row][k], modulo 2^32, with weights packed as
// codes of `bits` bits that are expanded on the way to the multiplier: for matrices that are read once or a few times.
//
// A *vector* is 64 neighbouring codes of one row, a *chunk* the vectors that share memory words of 64 bytes; byte j of
// every word belongs to code j of its vectors. Rows come in quads whose chunks alternate, so that memory is read in
// one direction.
//   bits 1, 2, 4: one word, 8 / bits vectors: code of vector i at bit `bits` * i.
//   bits 3: three words A, B, C, eight vectors: vectors 0 and 1 at bits 0 and 3 of A, 2 and 3 in B, 4 and 5 in C;
//     vector 6 has its low bits at bit 6 of A, vector 7 at bit 6 of B; their third bits are bits 6 and 7 of C.
//   bits 5, 6, 7: one vector in 8 * `bits` bytes, code after code, the low bit first.
//   bits 8: one vector in one word; the codes are the levels themselves, signed.
struct GemvArgs {
  const uint8_t* in;  // (images, in_pitch), `inputs` of each count; signed if `bases` are there
  size_t in_pitch;
  size_t images;
  size_t inputs;  // at most kCodeInputs if `bases` are there
  int bits;
  const uint8_t* weights;  // (quads, chunks, 4, chunk): ceil(inputs / 64) vectors, the last chunk filled up
  size_t quads;
  const int8_t* tables;  // level of every code, unused with 8 bits: rows of 2^max(bits, 4) entries, which repeat below
  size_t table_pitch;    // 0 where all rows share one
  const int32_t* bias;   // (quads, 4)
  const int32_t* sums;   // (quads, 4): sum of the row's levels
  const int32_t* bases;  // (quads, 4): level of the first code, where evenly spaced levels are multiplied as codes; or null
  const int32_t* steps;  // (quads, 4): from one level to the next, if `bases` are there
  int32_t* out;          // (images, pitch)
  size_t pitch;
  size_t flush;  // as in DotArgs; 0 where a sum of two may not fit int16
};

// Sums of this many products of signed bytes with codes, up to 240 where they lie in a byte, fit 32 bits.
constexpr size_t kCodeInputs = size_t{1} << 16;

// sums[row] += sum of the inputs whose bits are set in the row, for rows of bits, by look-ups in tables of sums of inputs.
struct LookupArgs {
  const uint8_t* tables;   // (bytes, LookupShape::table), as `lookup_tables` makes them; zeros behind the last input
  size_t bytes;            // of a row: a multiple of 8, at most LookupShape::part
  const uint8_t* weights;  // (blocks, bytes, rows): bit i of a byte is input i of its LookupShape::inputs; row
                           // v * rows / 2 + q * rows / 8 + j is at v * rows / 2 + 4 * j + q, with v < 2 and q < 4
  size_t blocks;
  int32_t* sums;           // (blocks, rows), modulo 2^32
};

// out[c] = bias[c] + constants[c] * total + sum over planes of factors[plane][c] * sums[plane][c], modulo 2^32.
struct LookupSums {
  const int32_t* sums;       // (units, planes, rows)
  const int32_t* factors;    // (units, planes, rows)
  size_t planes, rows;
  const int32_t* constants;  // (units, rows)
  const int32_t* bias;       // (units, rows)
  int32_t total;             // of all inputs
  size_t count;              // of channels
  int32_t* out;
};

// What suits a level's look-ups. No rows: it has none.
struct LookupShape {
  size_t rows;    // of a block
  size_t inputs;  // of a byte
  size_t table;   // bytes of tables for a byte of every row
  size_t part;    // bytes of a row at a time
};

// out[p][c] = ((0 + x[k0] * w[k0]) + x[k1] * w[k1]) + ..., each operation rounded to float32.
struct RealArgs {
  const float* in;
  const size_t* pixels;
  size_t pixel_count;
  const size_t* taps;    // one offset per k, ascending k is the order of summation
  size_t tap_count;
  const float* weights;  // (blocks, taps, 16)
  size_t block_count;
  float* out;
  size_t pitch;
};

// Per-channel parameters of `threshold`, transposed and padded to whole vectors.
struct ThresholdArgs {
  const int32_t* flip;        // (lanes,): all ones where the channel's direction is -1, so that x ^ flip ascends
  const int32_t* thresholds;  // (count, pitch): thresholds ^ flip
  size_t count;               // 1, 3, 7 or 15
  size_t pitch;
};

// What `rescale` adds: nothing; floats; codes as float((code ^ sign) - sign) * scale; or values[code], codes below 16.
enum class Residual { None, Real, Affine, Table };

struct RescaleArgs {
  const int32_t* x;  // (pixels, pitch)
  size_t pixels, pitch, lanes;
  const float* m;
  const float* b;
  Residual residual;
  const uint8_t* map;  // of the residual: floats or codes, (pixels, map_pitch) elements; readable up to `lanes`
  size_t map_pitch;
  int32_t sign;
  float scale;
  const float* values;
  float inv_step, lo, hi;  // as in `quantize`
  uint8_t mask;
  uint8_t* code;  // (pixels, pitch)
};

// What `requantize` adds: nothing; codes as (code ^ sign) - sign; or sums.
enum class Addend { None, Code, Sum };

// Integers alone. Per channel: v = (x << left) + (addend << map_left) + offset, which fits int32; the code is
// min(max(v >> right, lo), hi). `offset` includes what rounds: half of the last bit that stays.
struct RequantizeArgs {
  const int32_t* x;  // (pixels, pitch)
  size_t pixels, pitch, lanes;
  const int32_t* left;
  const int32_t* offset;
  const int32_t* right;
  Addend addend;
  const uint8_t* map;  // of the addend: codes or sums, (pixels, map_pitch) elements; readable up to `lanes`
  size_t map_pitch;
  const int32_t* map_left;
  int32_t sign;
  int32_t lo, hi;  // within [-128, 255]
  uint8_t mask;
  uint8_t* code;  // (pixels, pitch)
};

// Elementwise operations on row buffers. `n` counts elements; (pixels, pitch) buffers hold `lanes` used channels,
// a multiple of 16.
struct RowOps {
  // code = clamp(rne(x * inv_step), lo, hi) & mask, with integers lo <= hi within [-128, 255]; NaN gives lo.
  void (*quantize)(const float* x, size_t n, float inv_step, float lo, float hi, uint8_t mask, uint8_t* code);
  // index = number of thresholds t with x > t; `count` <= 15.
  void (*encode)(const float* x, size_t n, const float* thresholds, size_t count, uint8_t* index);
  void (*threshold)(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const ThresholdArgs& args,
                    uint8_t* index);
  void (*affine_acc)(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const float* m, const float* b,
                     float* y);
  // quantize((x * m + b) + residual), in this order.
  void (*rescale)(const RescaleArgs& args);
  void (*affine_real)(float* x, size_t pixels, size_t pitch, size_t lanes, const float* m, const float* b);
  void (*add)(float* x, size_t n, const float* y);
  // x += values[code], for codes below 2^bits; `values` has 256 entries.
  void (*add_codes)(float* x, size_t n, const uint8_t* code, const float* values, int bits);
  void (*decode)(const uint8_t* code, size_t n, const float* values, int bits, float* x);
  // The same for affine codes: value = float((code ^ sign) - sign) * scale, with sign = 0 or the sign bit.
  void (*add_affine_codes)(float* x, size_t n, const uint8_t* code, int32_t sign, float scale);
  void (*decode_affine)(const uint8_t* code, size_t n, int32_t sign, float scale, float* x);
  void (*clamp)(float* x, size_t n, float lo, float hi);
  // out = map[code], for codes below 2^bits; map has 256 entries. In place is legal.
  void (*map)(const uint8_t* code, size_t n, const uint8_t* map, int bits, uint8_t* out);
  // The bits `plane` of codes as the level's PlaneShape has them; writes whole bytes, unused bits zero.
  void (*pack)(const uint8_t* code, size_t n, int plane, uint8_t* out);
  // level = (code ^ sign) - sign
  void (*widen)(const uint8_t* code, size_t n, int16_t sign, int16_t* level);
  bool (*has_nan)(const float* x, size_t n);
  // code[c] = the largest, in the order of code ^ flip, of itself and from[0 .. count)[c].
  void (*max_codes)(const uint8_t* const* from, size_t count, size_t n, uint8_t flip, uint8_t* code);
  // x[c] += sum over k of (from[k][c] ^ sign) - sign, modulo 2^32.
  void (*sum_codes)(const uint8_t* const* from, size_t count, size_t n, int32_t sign, int32_t* x);
  void (*requantize)(const RequantizeArgs& args);
};

// What suits a level's dot products: calls of at least `pixels` pixels; tap counts must be multiples of `taps`, and are
// filled up with taps of zero weights, best so that runs of `taps` neighbours arise. Whether they make codes.
struct DotShape {
  size_t taps, pixels;
  bool makes_codes;
};

// Functions of floats in the exact order of docs/numerics.md.
struct FloatOps {
  void (*unary)(float* x, size_t n, Unary function);
  // y[i] = normalized x[first + i] for i below `count`; mean and variance are those of all n.
  void (*layer_norm)(const float* x, size_t n, float eps, size_t first, size_t count, float* y);
  // x[i] = exp(x[i] * scale - largest of all); gives 1 / their sum.
  float (*softmax)(float* x, size_t n, float scale);
  // One step of `n` units: gates (4 or 3, n) from the input and from the state; changes cell and state.
  void (*lstm)(const float* gates, const float* hidden, size_t n, float* cell, float* state);
  void (*gru)(const float* gates, const float* hidden, size_t n, float* state);
};

struct KernelSet {
  const char* isa;
  void (*dot_u8)(const DotU8& args);
  void (*dot_s16)(const DotS16& args);
  void (*depthwise)(const DepthwiseArgs& args);
  void (*winograd_input)(const WinogradInput& args);
  void (*winograd)(const WinogradArgs& args);
  // Weights of one block for WinogradArgs from its levels, which are fields of `bits` bits (2, 4, 8), as many steps to a
  // byte as fit, the first one lowest: (steps of 8 / bits, 9 taps, 16, 4), each level + 2^(bits - 1).
  void (*winograd_weights)(const uint8_t* packed, int bits, size_t steps, int8_t* weights);
  void (*winograd4_input)(const Winograd4Input& args);
  void (*winograd4)(const Winograd4Args& args);
  // Weights of one block for Winograd4Args from its levels, signed bytes (steps, 9 taps, 16, 2): number n of a step's 32
  // is at 2 n, below 16, and at 2 (n - 16) + 1.
  void (*winograd4_weights)(const uint8_t* levels, size_t steps, size_t pitch, int16_t* weights);
  void (*gemv)(const GemvArgs& args);
  int gemv_bits;  // widest codes that `gemv` expands, besides 8
  void (*planes)(const PlanesArgs& args);
  // sums[p] += factor * ones of pixel p, which has `bytes` bytes.
  void (*plane_sums)(const uint8_t* bits, size_t pixels, size_t bytes, int32_t factor, int32_t* sums);
  void (*real)(const RealArgs& args);
  // Depthwise: lane c of the block reads in[pixel + tap + c]; one block per call.
  void (*real_depthwise)(const RealArgs& args);
  RowOps rows;
  FloatOps floats;
  DotShape dot_u8_shape = {1, 1, false};
  DotShape dot_s16_shape = {1, 1, false};  // makes_codes: `depthwise`, too
  PlaneShape plane_shape = {8, 8, 1};
  void (*lookup)(const LookupArgs& args) = nullptr;
  // Tables for `bytes` bytes of every row; reads LookupShape::inputs for each.
  void (*lookup_tables)(const uint8_t* in, size_t bytes, uint8_t* tables) = nullptr;
  void (*lookup_sums)(const LookupSums& args) = nullptr;
  LookupShape lookup_shape = {0, 0, 0, 0};
  unsigned gemv_codes = 0;          // widths whose codes `gemv` multiplies if levels are evenly spaced, as bits
  const KernelSet* base = nullptr;  // the level whose kernels this one takes where it has none of its own
};

const KernelSet& portable_kernels() noexcept;
// x86-64
const KernelSet& avx2_kernels() noexcept;
const KernelSet& avx512_kernels() noexcept;
const KernelSet& amx_kernels() noexcept;
// 64-bit Arm
const KernelSet& neon_kernels() noexcept;
const KernelSet& dotprod_kernels() noexcept;

}  // namespace kompakt
