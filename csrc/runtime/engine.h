// A loaded program, ready to run from any number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/program.h"
#include "runtime/cpu.h"
#include "runtime/executor.h"

namespace kompakt {

struct EngineOptions {
  size_t threads = 1;
  std::string isa;     // empty: the fastest level of this CPU
  std::string prefer;  // kernel family to take wherever legal (tests); empty: the cheapest
};

// Which kernel runs a layer, and why.
struct KernelReport {
  std::string node, op, kernel, types, isa, reason;
  size_t macs;
};

// What a stage took; a stage is a node ("input" for none) and the elementwise ones that are fused behind it.
struct StageTime {
  std::string node;
  double seconds;
};

// One value of a program for a batch: elements in (N, C, H, W) or (N, C) order.
struct NamedValue {
  std::string name;
  Kind kind;
  std::vector<size_t> shape;   // with the batch axis
  std::vector<uint8_t> bytes;  // of float32, int32 or uint8
};

class Engine {
 public:
  // The bytes that `program` was read from are not needed afterwards. Throws UsageError for wrong options; std::bad_alloc.
  Engine(Program program, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // y (n, output) = program of x (n, input), both float32 in C order. Safe to call at the same time from several
  // threads, and in a child process after fork. Throws UsageError if x holds NaN; std::bad_alloc.
  void run(const float* x, size_t n, float* y) const;

  // Every value of the program, computed node by node without fusion. Throws as `run`.
  std::vector<NamedValue> values(const float* x, size_t n) const;

  // Seconds of every stage for one image x, the fastest of `repetitions` >= 1 runs on one thread. Throws as `run`.
  std::vector<StageTime> profile(const float* x, size_t repetitions) const;

  std::vector<KernelReport> kernels() const;

  const std::vector<size_t>& input_shape() const { return program_.input_shape; }
  const std::vector<size_t>& output_shape() const { return output_shape_; }
  const std::string& metadata() const { return program_.metadata; }
  size_t threads() const { return threads_; }
  std::string isa() const { return kernels_->isa; }

 private:
  struct State;  // threads and free memory; belongs to one process

  State& state() const;
  void check_numbers(const float* x, size_t n) const;
  void check_tokens(const float* x, size_t n) const;
  void run_batch(const float* x, size_t n, float* y, Pool& pool, State& state) const;
  void run_one_by_one(const float* x, size_t n, float* y, Pool* pool, State& state) const;
  void copy_output(const Slot& slot, size_t count, float* y) const;

  Program program_;
  const KernelSet* kernels_;
  size_t threads_;
  std::vector<size_t> output_shape_;
  size_t token_limit_ = 0;  // rows of the smallest embedding; 0: the input is no token ids
  size_t input_elements_ = 0, output_elements_ = 0;
  int output_value_ = 0;   // whose memory the output shares
  MapShape output_map_;    // of that value
  Layers layers_;
  Plan plan_;
  mutable std::atomic<State*> state_{nullptr};
};

}  // namespace kompakt
