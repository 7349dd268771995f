// Which nodes share a stage.
//
// A chain begins at a head and grows through elementwise consumers. A value with several consumers is stored on the
// way, and the chain may still go on through one of them. Order: every stage reads only values with smaller ids than
// the first value it stores, so sorting stages by their first stored value orders them rightly.
#include <algorithm>

#include "runtime/plan.h"
#include "runtime/requantize.h"

namespace kompakt {
namespace {

bool is_elementwise(Op op) {
  switch (op) {
    case Op::Quantize:
    case Op::Encode:
    case Op::Recode:
    case Op::Threshold:
    case Op::Requantize:
    case Op::Dequantize:
    case Op::Affine:
    case Op::Add:
    case Op::AddConstant:
    case Op::Unary:
    case Op::Clamp: return true;
    default: return false;
  }
}

Head head_of(Op op) {
  switch (op) {
    case Op::Conv2d:
    case Op::Linear: return Head::Layer;
    case Op::SumPool: return Head::SumPool;
    case Op::MaxPool: return Head::MaxPool;
    case Op::Concat: return Head::Concat;
    case Op::ShiftPad: return Head::ShiftPad;
    case Op::Flatten: return Head::Flatten;
    case Op::Gather: return Head::Gather;
    case Op::LayerNorm: return Head::LayerNorm;
    case Op::Embedding: return Head::Embedding;
    case Op::Attention:
    case Op::Lstm:
    case Op::Gru: return Head::Whole;
    default: return Head::Map;
  }
}

class Builder {
 public:
  Builder(const Program& program, const Layers& layers, bool is_fused)
      : program_(program), layers_(layers), is_fused_(is_fused), consumers_(program.nodes.size() + 1),
        is_done_(program.nodes.size() + 1, false) {
    for (size_t i = 0; i < program.nodes.size(); ++i)
      for (const int input : program.nodes[i].inputs) consumers_[static_cast<size_t>(input)].push_back(id_of(i));
  }

  std::vector<Stage> build() {
    defer_dequantized_operands();
    start_input();
    for (size_t i = 0; i < program_.nodes.size(); ++i)
      if (!is_done_[i + 1]) start(id_of(i));
    std::stable_sort(stages_.begin(), stages_.end(),
                     [](const Stage& a, const Stage& b) { return a.stored.front() < b.stored.front(); });
    return std::move(stages_);
  }

 private:
  static int id_of(size_t node) { return static_cast<int>(node) + 1; }
  const Node& node(int id) const { return program_.nodes[static_cast<size_t>(id) - 1]; }
  const std::vector<int>& consumers(int id) const { return consumers_[static_cast<size_t>(id)]; }
  bool is_done(int id) const { return is_done_[static_cast<size_t>(id)]; }
  void set_done(int id) { is_done_[static_cast<size_t>(id)] = true; }
  int storage(int id) const { return storage_of(program_, id); }

  // A dequantize that only feeds additions becomes the addition's operand; its float map never exists.
  void defer_dequantized_operands() {
    is_deferred_.assign(program_.nodes.size() + 1, false);
    if (!is_fused_) return;
    for (size_t i = 0; i < program_.nodes.size(); ++i) {
      const int id = id_of(i);
      if (program_.nodes[i].op != Op::Dequantize || id == program_.output) continue;
      const bool only_adds = std::all_of(consumers(id).begin(), consumers(id).end(),
                                         [this](int user) { return node(user).op == Op::Add; });
      if (!only_adds) continue;
      is_deferred_[static_cast<size_t>(id)] = true;
      set_done(id);
    }
  }
  bool is_deferred(int id) const { return is_deferred_[static_cast<size_t>(id)]; }

  void start_input() {
    Stage stage;
    stage.head = Head::Input;
    stage.made = program_.value_type(0);
    finish(std::move(stage), 0);
  }

  void start(int id) {
    const Node& first = node(id);
    set_done(id);
    if (storage(id) != id) return;  // shares its input's memory
    Stage stage;
    stage.head = head_of(first.op);
    if (stage.head != Head::Map) {
      stage.node = &first;
      const Choice& choice = layers_[static_cast<size_t>(id) - 1];
      stage.whole = choice.whole.get();
      if (stage.whole == nullptr) stage.layer = choice.layer.get();
      stage.made = first.type;
      for (const int input : first.inputs) add_input(stage, input);
    } else {
      start_elementwise(stage, id);
    }
    finish(std::move(stage), id);
  }

  void add_input(Stage& stage, int value) {
    stage.inputs.push_back(storage(value));
    stage.types.push_back(program_.value_type(value));
  }

  void start_elementwise(Stage& stage, int id) {
    int input = node(id).inputs[0];
    const bool is_dequantized = is_deferred(input);
    const int stored = is_dequantized ? node(input).inputs[0] : input;
    add_input(stage, stored);
    stage.made = program_.value_type(stored);
    if (is_dequantized) append(stage, input);
    append_node(stage, id, input);
  }

  // Steps of an elementwise node; `from` is the input that is in the row.
  void append_node(Stage& stage, int id, int from) {
    if (node(id).op == Op::Requantize) return append_requantize(stage, id, from);
    if (node(id).op != Op::Add) return append(stage, id);
    const int other = node(id).inputs[0] == from ? node(id).inputs[1] : node(id).inputs[0];
    if (is_deferred(other)) {
      const int codes = node(other).inputs[0];
      stage.steps.push_back(make_add_codes(storage(codes), program_.value_type(codes), node(other).scale));
    } else {
      stage.steps.push_back(make_add(storage(other), program_.value_type(other)));
    }
  }

  void append_requantize(Stage& stage, int id, int from) {
    const std::vector<int>& operands = node(id).inputs;
    if (operands.size() == 1) return stage.steps.push_back(make_requantize(node(id), 0));
    const size_t in_row = operands[0] == from ? 0 : 1;
    const ValueType other = program_.value_type(operands[1 - in_row]);
    stage.steps.push_back(make_requantize(node(id), in_row, storage(operands[1 - in_row]), &other));
  }

  void append(Stage& stage, int id) {
    for (Step& step : make_steps(node(id), program_.value_type(node(id).inputs[0])))
      stage.steps.push_back(std::move(step));
  }

  void store(Stage& stage, int id) {
    stage.steps.push_back(make_store(id, program_.value_type(id)));
    stage.stored.push_back(id);
  }

  // Whether the chain, now at `value`, may go on with the elementwise node `next`.
  bool can_extend(const Stage& stage, int value, int next) const {
    if (!is_fused_ || is_done(next) || !is_elementwise(node(next).op)) return false;
    const std::vector<int>& operands = node(next).inputs;
    if (operands.size() == 1) return true;
    // The row must hold floats (add) or sums (requantize), and not both operands.
    if (operands[0] == operands[1] || program_.value_type(value).kind == Kind::Code) return false;
    const int other = operands[0] == value ? operands[1] : operands[0];
    const int read = storage(is_deferred(other) ? node(other).inputs[0] : other);
    return stage.stored.empty() || read < stage.stored.front();
  }

  void finish(Stage stage, int id) {
    for (;;) {
      const bool is_shared = consumers(id).size() != 1 || id == program_.output;
      if (is_shared) store(stage, id);
      int next = -1;
      for (const int user : consumers(id))
        if (next < 0 && can_extend(stage, id, user)) next = user;
      if (next < 0) {
        if (!is_shared) store(stage, id);
        break;
      }
      set_done(next);
      append_node(stage, next, id);
      id = next;
    }
    stages_.push_back(std::move(stage));
  }

  const Program& program_;
  const Layers& layers_;
  bool is_fused_;
  std::vector<std::vector<int>> consumers_;
  std::vector<bool> is_done_, is_deferred_;
  std::vector<Stage> stages_;
};

}  // namespace

int storage_of(const Program& program, int value) {
  while (value > 0) {
    const Node& node = program.nodes[static_cast<size_t>(value) - 1];
    const bool is_flat = node.op == Op::Flatten && MapShape(program.value_type(node.inputs[0]).shape).pixels() == 1;
    if (node.op != Op::Reshape && !is_flat) break;
    value = node.inputs[0];
  }
  return value;
}

std::vector<Stage> make_stages(const Program& program, const Layers& layers, bool is_fused) {
  return Builder(program, layers, is_fused).build();
}

}  // namespace kompakt
