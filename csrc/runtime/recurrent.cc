// LSTM and GRU over the positions of a map, one after the other. The product of the state and its weights is a layer
// of one pixel, run by whatever kernel is cheapest.
#include <algorithm>
#include <vector>

#include "runtime/layer.h"
#include "runtime/whole.h"

namespace kompakt {
namespace {

// Blocks per call of a layer, as in a plan.
constexpr size_t kCallBlocks = 64;

size_t aligned(size_t bytes) { return (bytes + kSlack + 63) / 64 * 64; }

class Recurrent final : public WholeMap {
 public:
  Recurrent(const Node& node, const KernelSet& kernels, const Layer& layer)
      : kernels_(kernels), layer_(layer), is_lstm_(node.op == Op::Lstm), is_coded_(node.type.kind == Kind::Code),
        width_(node.type.shape[0]), rows_(node.multipliers.size()), steps_(MapShape(node.type.shape).pixels()),
        pitch_(rows_ + 2 * kLanes), inv_step_(node.inv_step), m_(node.multipliers), b_(node.offsets) {
    m_.resize(pitch_);
    b_.resize(pitch_);
    if (!is_coded_) return;
    const int half = 1 << (node.type.encoding.bits - 1);
    const bool is_signed = node.type.encoding.is_signed;
    mask_ = static_cast<uint8_t>(2 * half - 1);
    lo_ = static_cast<float>(is_signed ? -half : 0);
    hi_ = static_cast<float>(is_signed ? half - 1 : 2 * half - 1);
  }

  size_t tasks() const override { return 1; }

  size_t scratch_bytes() const override {
    return aligned(width_) + 2 * aligned(width_ * sizeof(float)) + 2 * aligned(pitch_ * sizeof(float)) +
           aligned(layer_.frame_bytes(1)) + aligned(layer_.scratch_bytes(1));
  }

  void run(size_t, const uint8_t* const* inputs, uint8_t* out, uint8_t* scratch) const override {
    Memory memory(*this, scratch);
    std::fill_n(memory.state, width_, 0.0f);
    std::fill_n(memory.cell, width_, 0.0f);
    const float* gates = reinterpret_cast<const float*>(inputs[0]);
    for (size_t step = 0; step < steps_; ++step, gates += rows_) {
      multiply(memory);
      if (is_lstm_)
        kernels_.floats.lstm(gates, memory.hidden, width_, memory.cell, memory.state);
      else
        kernels_.floats.gru(gates, memory.hidden, width_, memory.state);
      if (is_coded_)
        quantize(memory.state, out + step * width_);
      else
        std::copy_n(memory.state, width_, reinterpret_cast<float*>(out) + step * width_);
    }
  }

 private:
  struct Memory {
    Memory(const Recurrent& of, uint8_t* at) {
      codes = take<uint8_t>(at, of.width_);
      state = take<float>(at, of.width_);
      cell = take<float>(at, of.width_);
      sums = take<int32_t>(at, of.pitch_);
      hidden = take<float>(at, of.pitch_);
      frame = take<uint8_t>(at, of.layer_.frame_bytes(1));
      layer = at;
    }
    template <typename T>
    static T* take(uint8_t*& at, size_t count) {
      T* const taken = reinterpret_cast<T*>(at);
      at += aligned(count * sizeof(T));
      return taken;
    }
    uint8_t* codes;
    float *state, *cell;
    int32_t* sums;
    float* hidden;
    uint8_t *frame, *layer;
  };

  void quantize(const float* state, uint8_t* codes) const {
    kernels_.rows.quantize(state, width_, inv_step_, lo_, hi_, mask_, codes);
  }

  // memory.hidden = affine of weights times state.
  void multiply(const Memory& memory) const {
    const uint8_t* operands = reinterpret_cast<const uint8_t*>(memory.state);
    if (is_coded_) {
      quantize(memory.state, memory.codes);
      operands = memory.codes;
    }
    if (layer_.frame_bytes(1) > 0) {
      layer_.prepare(operands, 1, memory.frame);
      operands = memory.frame;
    }
    const std::vector<Block>& blocks = layer_.blocks();
    for (size_t first = 0; first < blocks.size(); first += kCallBlocks) {
      const size_t count = std::min(kCallBlocks, blocks.size() - first), channel = blocks[first].channel;
      void* to = is_coded_ ? static_cast<void*>(memory.sums + channel) : static_cast<void*>(memory.hidden + channel);
      layer_.run({0, 1, first, count}, operands, memory.layer, to, pitch_);
    }
    const size_t lanes = (rows_ + kLanes - 1) / kLanes * kLanes;
    if (is_coded_)
      kernels_.rows.affine_acc(memory.sums, 1, pitch_, lanes, m_.data(), b_.data(), memory.hidden);
    else
      kernels_.rows.affine_real(memory.hidden, 1, pitch_, lanes, m_.data(), b_.data());
  }

  const KernelSet& kernels_;
  const Layer& layer_;
  bool is_lstm_, is_coded_;
  size_t width_, rows_, steps_, pitch_;
  float inv_step_, lo_ = 0, hi_ = 0;
  uint8_t mask_ = 0;
  std::vector<float> m_, b_;
};

}  // namespace

std::unique_ptr<WholeMap> make_recurrent(const Node& node, const KernelSet& kernels, const Layer& layer) {
  return std::make_unique<Recurrent>(node, kernels, layer);
}

}  // namespace kompakt
