// Layers whose outputs read the whole map once: linear, and convolutions that give a single pixel. Weights stay packed
// (GemvArgs); operands are bytes, level + offset, signed where codes are multiplied, in the order (kh, kw, channel) in which
// the map is stored.
#include <algorithm>
#include <numeric>

#include "runtime/layer.h"

namespace kompakt {
namespace {

constexpr size_t kVector = 64;  // codes
constexpr size_t kQuad = 4;     // rows

// Codes of one row in the layout of GemvArgs.
class Packer {
 public:
  explicit Packer(int bits) : bits_(bits) {}

  size_t vectors() const { return is_string() || bits_ == 8 ? 1 : bits_ == 3 ? 8 : 8 / static_cast<size_t>(bits_); }
  size_t chunk_bytes() const { return vectors() * 8 * static_cast<size_t>(bits_); }

  // Puts the code of operand `k`; chunks of one row are `pitch` bytes apart.
  void put(uint8_t* row, size_t pitch, size_t k, unsigned code) const {
    uint8_t* chunk = row + k / kVector / vectors() * pitch;
    const size_t vector = k / kVector % vectors(), j = k % kVector;
    if (is_string()) return put_bits(chunk, j * static_cast<size_t>(bits_), code);
    if (bits_ != 3) {
      chunk[j] = static_cast<uint8_t>(chunk[j] | code << (vector * static_cast<size_t>(bits_) % 8));
    } else if (vector < 6) {
      chunk[vector / 2 * kVector + j] = static_cast<uint8_t>(chunk[vector / 2 * kVector + j] | code << vector % 2 * 3);
    } else {
      uint8_t& low = chunk[(vector - 6) * kVector + j];
      uint8_t& high = chunk[2 * kVector + j];
      low = static_cast<uint8_t>(low | (code & 3) << 6);
      high = static_cast<uint8_t>(high | (code >> 2) << vector);
    }
  }

 private:
  bool is_string() const { return bits_ >= 5 && bits_ <= 7; }

  static void put_bits(uint8_t* chunk, size_t bit, unsigned code) {
    const unsigned shifted = code << bit % 8;
    chunk[bit / 8] = static_cast<uint8_t>(chunk[bit / 8] | shifted);
    if (shifted > 255) chunk[bit / 8 + 1] = static_cast<uint8_t>(chunk[bit / 8 + 1] | shifted >> 8);
  }

  int bits_;
};

class GemvLayer final : public Layer {
 public:
  GemvLayer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, window_blocks(spec.window)),
        kernel_(kernels.gemv),
        map_codes_(kernels.rows.map),
        bits_(gemv_bits(spec, kernels)),
        packer_(bits_),
        inputs_(spec.per_channel()) {
    const bool is_coded = multiplies_codes(spec, kernels);
    const int32_t offset = byte_offset(spec) - (is_coded ? excess_of_signed(spec) : 0);
    set_levels(spec, offset);
    set_ranks(spec.weight.encoding);
    set_tables(spec);
    const size_t outputs = window_.group_outputs();
    quads_ = (outputs + kQuad - 1) / kQuad;
    flush_ = narrow_sums(spec);
    if (is_coded) set_steps();
    const size_t chunks = (inputs_ + kVector * packer_.vectors() - 1) / (kVector * packer_.vectors());
    quad_bytes_ = chunks * kQuad * packer_.chunk_bytes();
    const size_t rows = window_.groups * quads_ * kQuad;
    weights_.assign(kVector + window_.groups * quads_ * quad_bytes_ + kSlack, 0);
    start_ = kVector - reinterpret_cast<uintptr_t>(weights_.data()) % kVector;  // words do not straddle cache lines
    bias_.assign(rows, 0);
    sums_.assign(rows, 0);
    for (size_t o = 0; o < window_.out.channels; ++o) pack_row(spec, o, offset);
  }

  size_t frame_bytes(size_t images) const override {
    return is_identity_ ? 0 : images * window_.in.elements() + kSlack;
  }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    map_codes_(map, images * window_.in.elements(), operands_.data(), operand_bits_, frame);
  }

  size_t scratch_bytes(size_t) const override { return 0; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    const size_t per_group = blocks_.size() / window_.groups, end = tile.first_block + tile.blocks;
    GemvArgs args{};
    args.in_pitch = window_.in.elements();
    args.images = tile.pixels;
    args.inputs = inputs_;
    args.bits = bits_;
    args.table_pitch = table_pitch_;
    args.pitch = pitch;
    args.flush = flush_;
    for (size_t b = tile.first_block, count; b < end; b += count) {
      const size_t group = b / per_group, block = b % per_group;
      count = std::min(end - b, per_group - block);
      const size_t quad = group * quads_ + block * (kLanes / kQuad);
      args.in = operands + tile.first_pixel * args.in_pitch + group * window_.group_inputs();
      args.weights = weights_.data() + start_ + quad * quad_bytes_;
      args.quads = std::min(count * (kLanes / kQuad), quads_ - block * (kLanes / kQuad));
      args.tables = tables_.data() + quad * kQuad * table_pitch_;
      args.bias = bias_.data() + quad * kQuad;
      args.sums = sums_.data() + quad * kQuad;
      if (!bases_.empty()) {
        args.bases = bases_.data() + quad * kQuad;
        args.steps = steps_.data() + quad * kQuad;
      }
      // Rows that fill up a group's last quad overlap the next group's first channels, which are written later.
      args.out = static_cast<int32_t*>(out) + (blocks_[b].channel - blocks_[tile.first_block].channel);
      kernel_(args);
    }
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  static std::vector<Block> window_blocks(const Window& window) {
    return window.groups == 1 ? blocks_across(window) : blocks_per_group(window);
  }

  void set_levels(const LayerSpec& spec, int32_t offset) {
    const std::vector<int16_t>& table = spec.input.encoding.table;
    operand_bits_ = spec.input.encoding.bits;
    operands_.assign(256, 0);
    is_identity_ = true;
    for (size_t code = 0; code < table.size(); ++code) {
      operands_[code] = static_cast<uint8_t>(table[code] + offset);
      is_identity_ = is_identity_ && operands_[code] == code;
    }
  }

  // Codes are stored in the order of their levels, so that levels of uniform grids are steps, whatever their encoding.
  void set_ranks(const Encoding& encoding) {
    const size_t codes = encoding.codes();
    ranks_.resize(encoding.grains * codes);
    by_rank_.resize(ranks_.size());
    for (size_t grain = 0; grain < encoding.grains; ++grain) {
      uint8_t* order = by_rank_.data() + grain * codes;
      std::iota(order, order + codes, uint8_t{0});
      std::stable_sort(order, order + codes, [&](uint8_t a, uint8_t b) {
        return encoding.level(grain, a) < encoding.level(grain, b);
      });
      for (size_t rank = 0; rank < codes; ++rank) ranks_[grain * codes + order[rank]] = static_cast<uint8_t>(rank);
    }
  }

  // Tables of 2^max(bits, 4) levels, one per row (group by group, whole quads) or one for all.
  void set_tables(const LayerSpec& spec) {
    const Encoding& encoding = spec.weight.encoding;
    const size_t codes = encoding.codes(), entries = size_t{1} << std::max(bits_, 4);
    const size_t outputs = window_.group_outputs(), rows = (outputs + kQuad - 1) / kQuad * kQuad;
    table_pitch_ = bits_ == 8 || encoding.grains == 1 ? 0 : entries;
    tables_.assign(table_pitch_ == 0 ? entries : window_.groups * rows * entries, 0);
    if (bits_ == 8) return;
    for (size_t o = 0; o < (table_pitch_ == 0 ? 1 : window_.out.channels); ++o) {
      int8_t* table = tables_.data() + (o / outputs * rows + o % outputs) * table_pitch_;
      for (size_t i = 0; i < entries; ++i) table[i] = static_cast<int8_t>(encoding.level(o, by_rank_[o * codes + i % codes]));
    }
  }

  // What is taken from operands, which start at zero, to make signed bytes of them.
  static int32_t excess_of_signed(const LayerSpec& spec) {
    const std::vector<int16_t>& levels = spec.input.encoding.table;
    return *std::max_element(levels.begin(), levels.end()) + byte_offset(spec) > 127 ? 128 : 0;
  }

  void set_steps() {
    const size_t rows = window_.groups * quads_ * kQuad;
    for (size_t row = 0; row < rows; ++row) {
      const int8_t* table = tables_.data() + row * table_pitch_;
      bases_.push_back(table[0]);
      steps_.push_back(table[1] - table[0]);
    }
  }

  // Operands are level + offset, so offset * sum(weights) must go.
  void pack_row(const LayerSpec& spec, size_t o, int32_t offset) {
    const size_t outputs = window_.group_outputs(), taps = window_.taps(), channels = window_.group_inputs();
    const size_t row = o / outputs * quads_ * kQuad + o % outputs;
    const size_t grain = (spec.weight.encoding.grains == 1 ? 0 : o) * spec.weight.encoding.codes();
    const uint8_t* ranks = ranks_.data() + grain;
    const int16_t* levels = spec.weight.encoding.table.data() + grain;
    uint8_t* packed = weights_.data() + start_ + row / kQuad * quad_bytes_ + row % kQuad * packer_.chunk_bytes();
    uint32_t sum = 0;
    for (size_t k = 0; k < inputs_; ++k) {
      const size_t at = k % channels * taps + k / channels;
      const uint8_t code = spec.weight.codes[o * inputs_ + at];
      const int16_t level = levels[code];
      sum += static_cast<uint32_t>(level);
      packer_.put(packed, kQuad * packer_.chunk_bytes(), k, bits_ == 8 ? static_cast<uint8_t>(level) : ranks[code]);
    }
    sums_[row] = static_cast<int32_t>(sum);
    bias_[row] = static_cast<int32_t>(0u - sum * static_cast<uint32_t>(offset));
  }

  void (*kernel_)(const GemvArgs&);
  void (*map_codes_)(const uint8_t*, size_t, const uint8_t*, int, uint8_t*);
  int bits_;  // of stored codes
  Packer packer_;
  size_t inputs_;  // of one row
  std::vector<uint8_t> operands_;  // of every code
  std::vector<uint8_t> ranks_, by_rank_;  // of weight codes in the order of their levels, and back; grain by grain
  int operand_bits_ = 8;
  bool is_identity_ = false;
  size_t quads_ = 0, quad_bytes_ = 0;  // of one group; of one quad
  size_t table_pitch_ = 0;
  size_t flush_ = 0;
  std::vector<int8_t> tables_;
  std::vector<uint8_t> weights_;  // from start_
  size_t start_ = 0;
  std::vector<int32_t> bias_, sums_;
  std::vector<int32_t> bases_, steps_;  // of every row, if all of them have evenly spaced levels
};

}  // namespace

bool reads_whole_map(const Window& window) {
  const bool is_whole = window.kernel_h == window.in.height && window.kernel_w == window.in.width;
  return is_whole && !window.is_padded() && (window.groups == 1 || window.taps() == 1);
}

bool multiplies_codes(const LayerSpec& spec, const KernelSet& kernels) {
  const Encoding& encoding = spec.weight.encoding;
  if ((kernels.gemv_codes >> encoding.bits & 1) == 0 || spec.per_channel() > kCodeInputs) return false;
  const size_t codes = encoding.codes();
  std::vector<int16_t> levels(codes);
  for (size_t grain = 0; grain < encoding.grains; ++grain) {
    const auto first = encoding.table.begin() + static_cast<std::ptrdiff_t>(grain * codes);
    std::partial_sort_copy(first, first + static_cast<std::ptrdiff_t>(codes), levels.begin(), levels.end());
    for (size_t i = 2; i < codes; ++i)
      if (levels[i] - levels[i - 1] != levels[1] - levels[0]) return false;
  }
  return true;
}

int gemv_bits(const LayerSpec& spec, const KernelSet& kernels) {
  const int bits = spec.weight.encoding.bits;
  return bits <= kernels.gemv_bits ? bits : 8;
}

std::unique_ptr<Layer> make_gemv(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<GemvLayer>(spec, kernels);
}

}  // namespace kompakt
