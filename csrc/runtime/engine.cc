#include "runtime/engine.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/checked.h"
#include "runtime/float_mode.h"

namespace kompakt {
namespace {

constexpr size_t kMaxThreads = 1024;

// Images that share one pass over the weights of linear layers, where those weights are many.
constexpr size_t kLotImages = 8;
constexpr size_t kManyWeightBytes = size_t{256} << 10;

const char* word_of(Op op) {
  switch (op) {
    case Op::Linear: return "linear";
    case Op::Lstm: return "lstm";
    case Op::Gru: return "gru";
    default: return "conv2d";
  }
}

bool is_recurrent(const Node& node) { return node.op == Op::Lstm || node.op == Op::Gru; }

bool is_layer(const Node& node) { return node.op == Op::Conv2d || node.op == Op::Linear || is_recurrent(node); }

// The product of a recurrent node's state: a linear layer of one pixel.
Choice choose_recurrent(const Node& node, const KernelSet& kernels, const std::string& prefer) {
  Node product;
  product.op = Op::Linear;
  product.type.shape = {node.weight.shape[0]};
  const ValueType state{node.type.kind, {node.weight.shape[1]}, node.type.encoding};
  Choice choice = choose_kernel({Window(product, MapShape(state.shape)), node.weight, state}, kernels, prefer);
  choice.whole = make_recurrent(node, kernels, *choice.layer);
  return choice;
}

Choice choose(const Program& program, const Node& node, const KernelSet& kernels, const std::string& prefer) {
  const ValueType input = program.value_type(node.inputs[0]);
  return choose_kernel({Window(node, MapShape(input.shape)), node.weight, input}, kernels, prefer);
}

// Every layer packed for its kernel, and its weights in the program given up.
Layers make_layers(Program& program, const KernelSet& kernels, const std::string& prefer) {
  Layers layers(program.nodes.size());
  for (size_t i = 0; i < program.nodes.size(); ++i) {
    Node& node = program.nodes[i];
    if (node.op == Op::Attention) layers[i].whole = make_attention(node, kernels);
    if (!is_layer(node)) continue;
    layers[i] = is_recurrent(node) ? choose_recurrent(node, kernels, prefer) : choose(program, node, kernels, prefer);
    node.weight.codes = {};
    node.weight.values = {};
  }
  return layers;
}

size_t images_per_lot(const Program& program, const Layers& layers) {
  size_t bytes = 0;
  for (size_t i = 0; i < program.nodes.size(); ++i)
    if (program.nodes[i].op == Op::Linear) bytes += layers[i].layer->weight_bytes();
  return bytes >= kManyWeightBytes ? kLotImages : 1;
}

// (count, H, W, C) to (count, C, H, W).
template <typename T>
void to_channels_first(const uint8_t* map, const MapShape& shape, size_t count, uint8_t* out) {
  const T* from = reinterpret_cast<const T*>(map);
  T* to = reinterpret_cast<T*>(out);
  if (shape.pixels() == 1) {
    std::memcpy(to, from, count * shape.channels * sizeof(T));
    return;
  }
  for (size_t image = 0; image < count; ++image, from += shape.elements())
    for (size_t c = 0; c < shape.channels; ++c)
      for (size_t p = 0; p < shape.pixels(); ++p) *to++ = from[p * shape.channels + c];
}

NamedValue make_value(const std::string& name, const ValueType& type, size_t n) {
  NamedValue value{name, type.kind, {n}, {}};
  value.shape.insert(value.shape.end(), type.shape.begin(), type.shape.end());
  const size_t bytes = checked_product(value.shape, "values") * (type.kind == Kind::Code ? 1 : 4);
  value.bytes.resize(bytes);
  return value;
}

}  // namespace

// Memory and threads of the process that made them. A child after fork gets its own; the parent's, whose locks may be
// held by threads that do not exist there, is left alone.
struct Engine::State {
  explicit State(const Engine& engine) : engine(engine), process(getpid()) {}

  std::unique_ptr<Slot> take_slot() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!free.empty()) {
        std::unique_ptr<Slot> slot = std::move(free.back());
        free.pop_back();
        return slot;
      }
    }
    return std::make_unique<Slot>(engine.plan_, engine.threads_);
  }

  void give_back(std::unique_ptr<Slot> slot) {
    const std::lock_guard<std::mutex> lock(mutex);
    free.push_back(std::move(slot));  // never more than calls have run at once
  }

  // The pool, for the holder of `pool_in_use`.
  Pool& get_pool() {
    if (!pool) pool = std::make_unique<Pool>(engine.threads_);
    return *pool;
  }

  const Engine& engine;
  const pid_t process;
  std::mutex mutex;
  std::vector<std::unique_ptr<Slot>> free;  // guarded by mutex
  std::mutex pool_in_use;
  std::unique_ptr<Pool> pool;
};

namespace {

// A slot for the duration of a call.
template <typename State>
class Lease {
 public:
  explicit Lease(State& state) : state_(&state), slot_(state.take_slot()) {}
  Lease(Lease&& other) noexcept : state_(other.state_), slot_(std::move(other.slot_)) {}
  ~Lease() {
    if (slot_) state_->give_back(std::move(slot_));
  }
  Slot& operator*() const { return *slot_; }

 private:
  State* state_;
  std::unique_ptr<Slot> slot_;
};

}  // namespace

Engine::Engine(Program program, const EngineOptions& options)
    : program_(std::move(program)), kernels_(&select_kernels(options.isa)), threads_(options.threads) {
  if (threads_ < 1 || threads_ > kMaxThreads)
    throw UsageError("threads: expected 1 to " + std::to_string(kMaxThreads) + ", got " + std::to_string(threads_));
  output_shape_ = program_.value_type(program_.output).shape;
  output_value_ = storage_of(program_, program_.output);
  output_map_ = MapShape(program_.value_type(output_value_).shape);
  input_elements_ = MapShape(program_.input_shape).elements();
  output_elements_ = output_map_.elements();
  layers_ = make_layers(program_, *kernels_, options.prefer);
  for (const Node& node : program_.nodes) {
    if (node.op != Op::Embedding) continue;
    const size_t rows = node.weight.shape[0];
    token_limit_ = token_limit_ == 0 ? rows : std::min(token_limit_, rows);
  }
  plan_ = make_plan(program_, layers_, {images_per_lot(program_, layers_), true});
}

Engine::~Engine() {
  State* state = state_.load();
  if (state != nullptr && state->process == getpid()) delete state;
}

Engine::State& Engine::state() const {
  State* current = state_.load(std::memory_order_acquire);
  if (current != nullptr && current->process == getpid()) return *current;
  auto fresh = std::make_unique<State>(*this);
  if (state_.compare_exchange_strong(current, fresh.get())) return *fresh.release();
  return *current;  // another thread was faster
}

void Engine::check_numbers(const float* x, size_t n) const {
  const size_t size = input_elements_;
  if (token_limit_ != 0) check_tokens(x, n);
  if (!kernels_->rows.has_nan(x, n * size)) return;
  const float* bad = std::find_if(x, x + n * size, [](float v) { return v != v; });
  const size_t at = static_cast<size_t>(bad - x);
  throw UsageError("input holds NaN: image " + std::to_string(at / size) + ", element " + std::to_string(at % size) +
                   " of " + std::to_string(size) + "; expected numbers or infinities");
}

void Engine::check_tokens(const float* x, size_t n) const {
  const float limit = static_cast<float>(token_limit_);  // at most 2^24: exact
  const float* end = x + n * input_elements_;
  const float* bad = std::find_if(x, end, [=](float v) { return !(v >= 0.0f && v < limit && v == std::floor(v)); });
  if (bad == end) return;
  const size_t at = static_cast<size_t>(bad - x);
  throw UsageError("input: expected whole token ids in 0.." + std::to_string(token_limit_ - 1) + ", got " +
                   std::to_string(*bad) + " (sample " + std::to_string(at / input_elements_) + ", token " +
                   std::to_string(at % input_elements_) + ")");
}

void Engine::run(const float* x, size_t n, float* y) const {
  if (n == 0) return;
  check_numbers(x, n);
  const FloatMode mode;
  State& own = state();
  std::unique_lock<std::mutex> lock(own.pool_in_use, std::defer_lock);
  // A second caller does not wait for the pool, it works alone.
  if (threads_ == 1 || !lock.try_lock()) return run_one_by_one(x, n, y, nullptr, own);
  Pool& pool = own.get_pool();
  if (n >= threads_) return run_batch(x, n, y, pool, own);
  run_one_by_one(x, n, y, &pool, own);
}

void Engine::run_one_by_one(const float* x, size_t n, float* y, Pool* pool, State& own) const {
  const Lease<State> slot(own);
  for (size_t first = 0; first < n; first += plan_.images) {
    const size_t count = std::min(plan_.images, n - first);
    run_lot(plan_, *kernels_, x + first * input_elements_, count, *slot, pool);
    copy_output(*slot, count, y + first * output_elements_);
  }
}

void Engine::run_batch(const float* x, size_t n, float* y, Pool& pool, State& own) const {
  const size_t lot = std::min(plan_.images, ceil_div(n, threads_));
  const size_t lots = ceil_div(n, lot);
  std::vector<Lease<State>> slots;  // taken here, because workers must not throw
  for (size_t i = 0; i < threads_; ++i) slots.emplace_back(own);
  pool.run(lots, [&](size_t task, size_t worker) {
    const size_t first = task * lot, count = std::min(lot, n - first);
    run_lot(plan_, *kernels_, x + first * input_elements_, count, *slots[worker], nullptr);
    copy_output(*slots[worker], count, y + first * output_elements_);
  });
}

void Engine::copy_output(const Slot& slot, size_t count, float* y) const {
  const uint8_t* map = slot.arena.data() + plan_.offsets[static_cast<size_t>(output_value_)];
  to_channels_first<float>(map, output_map_, count, reinterpret_cast<uint8_t*>(y));
}

std::vector<NamedValue> Engine::values(const float* x, size_t n) const {
  check_numbers(x, n);
  const FloatMode mode;
  const Plan plan = make_plan(program_, layers_, {1, false});
  Slot slot(plan, 1);
  std::vector<NamedValue> values;
  values.push_back(make_value("input", program_.value_type(0), n));
  for (const Node& node : program_.nodes) values.push_back(make_value(node.name, node.type, n));
  for (size_t image = 0; image < n; ++image) {
    run_lot(plan, *kernels_, x + image * input_elements_, 1, slot, nullptr);
    for (size_t id = 0; id < values.size(); ++id) {
      const int stored = storage_of(program_, static_cast<int>(id));
      const uint8_t* map = slot.arena.data() + plan.offsets[static_cast<size_t>(stored)];
      const MapShape shape(program_.value_type(stored).shape);
      uint8_t* to = values[id].bytes.data() + image * values[id].bytes.size() / n;
      if (values[id].kind == Kind::Code)
        to_channels_first<uint8_t>(map, shape, 1, to);
      else
        to_channels_first<uint32_t>(map, shape, 1, to);
    }
  }
  return values;
}

std::vector<StageTime> Engine::profile(const float* x, size_t repetitions) const {
  check_numbers(x, 1);
  const FloatMode mode;
  Slot slot(plan_, 1);
  std::vector<StageTime> times;
  for (const Stage& stage : plan_.stages) times.push_back({stage.node == nullptr ? "input" : stage.node->name, 0});
  for (size_t i = 0; i < repetitions; ++i) {
    const std::vector<double> seconds = time_lot(plan_, *kernels_, x, 1, slot);
    for (size_t s = 0; s < times.size(); ++s)
      if (i == 0 || seconds[s] < times[s].seconds) times[s].seconds = seconds[s];
  }
  return times;
}

std::vector<KernelReport> Engine::kernels() const {
  std::vector<KernelReport> reports;
  for (size_t i = 0; i < program_.nodes.size(); ++i) {
    const Node& node = program_.nodes[i];
    if (!is_layer(node)) continue;
    const Choice& choice = layers_[i];
    const Window& window = choice.layer->window();
    const size_t steps = is_recurrent(node) ? MapShape(node.type.shape).pixels() : 1;
    const size_t macs = steps * window.out.elements() * window.group_inputs() * window.taps();
    reports.push_back({node.name, word_of(node.op), choice.row->name, choice.row->types, choice.row->isa,
                       choice.reason, macs});
  }
  return reports;
}

}  // namespace kompakt
