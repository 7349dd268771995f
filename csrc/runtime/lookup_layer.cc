// Layers whose outputs read the whole map once, by look-ups in tables of sums of inputs (LookupArgs). A level is a sum over
// planes, W[k] = sum_p f_p u_p[k] + f_0 with u_p[k] = 1 where the code has all bits of the plane's mask: for every table of
// levels such factors exist, and for evenly spaced levels and sums of bits those of masks with several bits are zero.
#include <algorithm>
#include <cstring>

#include "runtime/layer.h"

namespace kompakt {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kStep = 8;  // bytes of a row
// Channels x images of a tile that take turns on the tables of one part.
constexpr size_t kTurn = 2048;

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

uint8_t* aligned(uint8_t* at) { return at + (kLine - reinterpret_cast<uintptr_t>(at) % kLine) % kLine; }

// Factors of all masks, in the order of masks; entry 0 is f_0.
std::vector<int32_t> factors_of(const Encoding& encoding, size_t grain) {
  std::vector<int32_t> factors(encoding.codes());
  for (size_t code = 0; code < factors.size(); ++code) factors[code] = encoding.level(grain, code);
  for (size_t bit = 1; bit < factors.size(); bit *= 2)
    for (size_t mask = 0; mask < factors.size(); ++mask)
      if (mask & bit) factors[mask] -= factors[mask ^ bit];
  return factors;
}

// Masks whose factor is not zero everywhere.
std::vector<size_t> masks_of(const Encoding& encoding) {
  std::vector<bool> is_used(encoding.codes(), false);
  for (size_t grain = 0; grain < encoding.grains; ++grain) {
    const std::vector<int32_t> factors = factors_of(encoding, grain);
    for (size_t mask = 1; mask < factors.size(); ++mask) is_used[mask] = is_used[mask] || factors[mask] != 0;
  }
  std::vector<size_t> masks;
  for (size_t mask = 1; mask < is_used.size(); ++mask)
    if (is_used[mask]) masks.push_back(mask);
  return masks;
}

class LookupLayer final : public Layer {
 public:
  LookupLayer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, blocks_across(spec.window)),
        kernels_(kernels),
        shape_(kernels.lookup_shape),
        inputs_(spec.per_channel()),
        used_((inputs_ + shape_.inputs - 1) / shape_.inputs),
        bytes_(round_up(used_, kStep)),
        masks_(masks_of(spec.weight.encoding)) {
    const int32_t offset = byte_offset(spec);
    set_operands(spec.input.encoding, offset);
    const size_t rows = round_up(window_.out.channels, shape_.rows);
    weights_.assign(rows * masks_.size() * bytes_ + kLine + kSlack, 0);
    start_ = static_cast<size_t>(aligned(weights_.data()) - weights_.data());
    factors_.assign(rows * masks_.size(), 0);
    constants_.assign(rows, 0);
    bias_.assign(rows, 0);
    for (size_t o = 0; o < window_.out.channels; ++o) pack_row(spec, o, offset);
  }

  size_t frame_bytes(size_t images) const override {
    return kLine + images * image_bytes() + round_up(inputs_ + kSlack, kLine);
  }

  // Frame: of every image the tables and the sum of its operands; then operands of one image.
  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    uint8_t* tables = aligned(frame);
    uint8_t* operands = tables + images * image_bytes();
    for (size_t image = 0; image < images; ++image, map += inputs_, tables += image_bytes()) {
      const uint8_t* in = map;
      if (!is_identity_) {
        kernels_.rows.map(map, inputs_, operands_.data(), operand_bits_, operands);
        in = operands;
      }
      kernels_.lookup_tables(in, used_, tables);
      std::memset(tables + used_ * shape_.table, 0, (bytes_ - used_) * shape_.table);
      int32_t total = 0;
      for (size_t k = 0; k < inputs_; ++k) total += in[k];
      std::memcpy(tables + bytes_ * shape_.table, &total, sizeof(total));
    }
  }

  size_t block_unit() const override { return shape_.rows / kLanes; }

  size_t scratch_bytes(size_t pixels) const override {
    return std::max(kTurn, pixels * shape_.rows) * masks_.size() * sizeof(int32_t) + kLine;
  }

  void run(const Tile& tile, const uint8_t* operands, uint8_t* scratch, void* out, size_t pitch) const override {
    const uint8_t* tables = operands + (kLine - reinterpret_cast<uintptr_t>(operands) % kLine) % kLine;
    tables += tile.first_pixel * image_bytes();
    const size_t first = tile.first_block * kLanes, end = first + tile.blocks * kLanes;
    const size_t turn = std::max<size_t>(kTurn / (tile.pixels * shape_.rows), 1) * shape_.rows;
    for (size_t channel = first; channel < end; channel += turn)
      run_channels(channel, std::min(turn, end - channel), tile.pixels, tables, reinterpret_cast<int32_t*>(aligned(scratch)),
                   static_cast<int32_t*>(out) + (channel - first), pitch);
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  size_t image_bytes() const { return bytes_ * shape_.table + kLine; }

  void set_operands(const Encoding& encoding, int32_t offset) {
    operand_bits_ = encoding.bits;
    operands_.assign(256, 0);
    is_identity_ = true;
    for (size_t code = 0; code < encoding.table.size(); ++code) {
      operands_[code] = static_cast<uint8_t>(encoding.table[code] + offset);
      is_identity_ = is_identity_ && operands_[code] == code;
    }
  }

  // Operands are level + offset, so offset * sum(weights) must go.
  void pack_row(const LayerSpec& spec, size_t o, int32_t offset) {
    const size_t taps = window_.taps(), channels = window_.group_inputs(), planes = masks_.size();
    const size_t unit = o / shape_.rows, row = o % shape_.rows, half = shape_.rows / 2, quarter = half / 4;
    const size_t place = row / half * half + row % quarter * 4 + row % half / quarter;
    const std::vector<int32_t> factors = factors_of(spec.weight.encoding, spec.weight.encoding.grains == 1 ? 0 : o);
    for (size_t p = 0; p < planes; ++p) factors_[(unit * planes + p) * shape_.rows + row] = factors[masks_[p]];
    constants_[o] = factors[0];
    uint32_t sum = 0;
    for (size_t k = 0; k < inputs_; ++k) {
      const size_t at = k % channels * taps + k / channels;
      const size_t code = spec.weight.codes[o * inputs_ + at];
      sum += static_cast<uint32_t>(spec.level(o, at));
      for (size_t p = 0; p < planes; ++p) {
        uint8_t& byte = weights_[start_ + byte_of(unit * planes + p, k / shape_.inputs) + place];
        if ((code & masks_[p]) == masks_[p]) byte = static_cast<uint8_t>(byte | 1U << k % shape_.inputs);
      }
    }
    bias_[o] = static_cast<int32_t>(0U - sum * static_cast<uint32_t>(offset));
  }

  // Where byte `k` of a block's rows begins: parts are in turn (blocks, bytes, rows), so that a pass reads on and on.
  size_t byte_of(size_t block, size_t k) const {
    const size_t part = k / shape_.part * shape_.part, bytes = std::min(bytes_ - part, shape_.part);
    return part * factors_.size() + (block * bytes + k - part) * shape_.rows;
  }

  // Parts outside, images inside: tables of a part stay near while all rows pass, rows of a part while all images do.
  void run_channels(size_t channel, size_t count, size_t images, const uint8_t* tables, int32_t* sums, int32_t* out,
                    size_t pitch) const {
    const size_t units = (count + shape_.rows - 1) / shape_.rows, planes = masks_.size();
    const size_t numbers = units * planes * shape_.rows;
    std::memset(sums, 0, images * numbers * sizeof(int32_t));
    LookupArgs args{};
    args.blocks = units * planes;
    for (size_t done = 0; done < bytes_; done += args.bytes) {
      args.bytes = std::min(bytes_ - done, shape_.part);
      args.weights = weights_.data() + start_ + done * factors_.size() + channel * planes * args.bytes;
      for (size_t image = 0; image < images; ++image) {
        args.tables = tables + image * image_bytes() + done * shape_.table;
        args.sums = sums + image * numbers;
        kernels_.lookup(args);
      }
    }
    LookupSums last{sums, factors_.data() + channel * planes, planes, shape_.rows, constants_.data() + channel,
                    bias_.data() + channel, 0, count, out};
    for (size_t image = 0; image < images; ++image, last.sums += numbers, last.out += pitch) {
      std::memcpy(&last.total, tables + image * image_bytes() + bytes_ * shape_.table, sizeof(last.total));
      kernels_.lookup_sums(last);
    }
  }

  const KernelSet& kernels_;
  LookupShape shape_;
  size_t inputs_, used_, bytes_;  // of a row: bytes with inputs, and filled up to whole steps
  std::vector<size_t> masks_;     // of the planes
  std::vector<uint8_t> operands_;  // of every code
  int operand_bits_ = 8;
  bool is_identity_ = false;
  std::vector<uint8_t> weights_;  // from start_: (parts, units of `rows` channels, planes, bytes of a part, rows)
  size_t start_ = 0;
  std::vector<int32_t> factors_;           // (units, planes, rows)
  std::vector<int32_t> constants_, bias_;  // (units, rows)
};

}  // namespace

size_t lookup_planes(const Encoding& encoding) { return masks_of(encoding).size(); }

std::unique_ptr<Layer> make_lookup(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<LookupLayer>(spec, kernels);
}

}  // namespace kompakt
