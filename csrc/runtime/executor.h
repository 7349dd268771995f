// Runs a plan for one lot of images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/plan.h"
#include "runtime/pool.h"

namespace kompakt {

// Zero-initialised bytes, aligned to a cache line; pages that nobody writes take no memory.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  uint8_t* data() const { return start_; }

 private:
  std::unique_ptr<uint8_t, void (*)(void*)> owner_;
  uint8_t* start_;
};

// Private memory of one thread for one tile.
struct RowBuffers {
  explicit RowBuffers(const Plan& plan);
  Buffer acc, real, code, scratch;
};

// All memory that one lot needs: the arena, and row buffers for every thread that may help.
struct Slot {
  Slot(const Plan& plan, size_t threads);
  Buffer arena;
  std::vector<RowBuffers> rows;
};

// Runs all stages for `count` images (C, H, W) at `images`. With a pool, tiles are shared among its threads.
void run_lot(const Plan& plan, const KernelSet& kernels, const float* images, size_t count, Slot& slot, Pool* pool);

// The same on one thread, and the seconds that each stage took.
std::vector<double> time_lot(const Plan& plan, const KernelSet& kernels, const float* images, size_t count, Slot& slot);

}  // namespace kompakt
