// Attention, one head at a time: keys and values are packed as weights of the float kernel, whose order of summation
// is that of docs/numerics.md.
#include <algorithm>
#include <vector>

#include "runtime/geometry.h"
#include "runtime/whole.h"

namespace kompakt {
namespace {

// Queries whose scores are in memory at once.
constexpr size_t kQueries = 32;

size_t in_blocks(size_t count) { return (count + kLanes - 1) / kLanes; }

class Attention final : public WholeMap {
 public:
  Attention(const Node& node, const KernelSet& kernels)
      : kernels_(kernels), heads_(node.heads), scale_(node.scale), channels_(MapShape(node.type.shape).channels),
        tokens_(MapShape(node.type.shape).pixels()), head_(channels_ / heads_), key_taps_(head_),
        value_taps_(tokens_) {
    for (size_t i = 0; i < head_; ++i) key_taps_[i] = i;
    for (size_t i = 0; i < tokens_; ++i) value_taps_[i] = i;
  }

  size_t tasks() const override { return heads_; }

  size_t scratch_bytes() const override {
    return (key_elements() + value_elements() + kQueries * (score_pitch() + out_pitch())) * sizeof(float) +
           2 * kQueries * sizeof(size_t);
  }

  void run(size_t task, const uint8_t* const* inputs, uint8_t* out, uint8_t* scratch) const override {
    const size_t first = task * head_;
    const float* q = reinterpret_cast<const float*>(inputs[0]) + first;
    float* keys = reinterpret_cast<float*>(scratch + 2 * kQueries * sizeof(size_t));
    float* values = keys + key_elements();
    float* scores = values + value_elements();
    pack_keys(reinterpret_cast<const float*>(inputs[1]) + first, keys);
    pack_values(reinterpret_cast<const float*>(inputs[2]) + first, values);
    size_t* rows = reinterpret_cast<size_t*>(scratch);
    for (size_t query = 0; query < tokens_; query += kQueries) {
      const size_t count = std::min(kQueries, tokens_ - query);
      for (size_t i = 0; i < count; ++i) rows[i] = (query + i) * channels_;
      multiply(q, rows, count, key_taps_, keys, in_blocks(tokens_), scores, score_pitch());
      weigh(scores, count, rows + kQueries, values, scores + kQueries * score_pitch(),
            reinterpret_cast<float*>(out) + query * channels_ + first);
    }
  }

 private:
  size_t score_pitch() const { return in_blocks(tokens_) * kLanes; }
  size_t out_pitch() const { return in_blocks(head_) * kLanes; }
  size_t key_elements() const { return score_pitch() * head_; }
  size_t value_elements() const { return out_pitch() * tokens_; }

  // Weights (blocks, taps, 16) whose lanes are tokens.
  void pack_keys(const float* k, float* keys) const {
    std::fill_n(keys, key_elements(), 0.0f);
    for (size_t token = 0; token < tokens_; ++token)
      for (size_t i = 0; i < head_; ++i)
        keys[(token / kLanes * head_ + i) * kLanes + token % kLanes] = k[token * channels_ + i];
  }

  // The same with channels as lanes.
  void pack_values(const float* v, float* values) const {
    std::fill_n(values, value_elements(), 0.0f);
    for (size_t token = 0; token < tokens_; ++token)
      for (size_t i = 0; i < head_; ++i)
        values[(i / kLanes * tokens_ + token) * kLanes + i % kLanes] = v[token * channels_ + i];
  }

  void multiply(const float* in, const size_t* rows, size_t count, const std::vector<size_t>& taps,
                const float* weights, size_t blocks, float* out, size_t pitch) const {
    RealArgs args{};
    args.in = in;
    args.pixels = rows;
    args.pixel_count = count;
    args.taps = taps.data();
    args.tap_count = taps.size();
    args.weights = weights;
    args.block_count = blocks;
    args.out = out;
    args.pitch = pitch;
    kernels_.real(args);
  }

  // Scores to weights, weighted sums of values to the result.
  void weigh(float* scores, size_t count, size_t* rows, const float* values, float* sums, float* out) const {
    float inverse[kQueries];
    for (size_t i = 0; i < count; ++i) {
      rows[i] = i * score_pitch();
      inverse[i] = kernels_.floats.softmax(scores + rows[i], tokens_, scale_);
    }
    multiply(scores, rows, count, value_taps_, values, in_blocks(head_), sums, out_pitch());
    for (size_t i = 0; i < count; ++i)
      for (size_t c = 0; c < head_; ++c) out[i * channels_ + c] = sums[i * out_pitch() + c] * inverse[i];
  }

  const KernelSet& kernels_;
  size_t heads_;
  float scale_;
  size_t channels_, tokens_, head_;
  std::vector<size_t> key_taps_, value_taps_;  // 0, 1, ..
};

}  // namespace

std::unique_ptr<WholeMap> make_attention(const Node& node, const KernelSet& kernels) {
  return std::make_unique<Attention>(node, kernels);
}

}  // namespace kompakt
