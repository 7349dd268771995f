#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>

#include "base/checked.h"
#include "runtime/heads.h"
#include "runtime/rescale.h"

namespace kompakt {
namespace {

constexpr size_t kAlignment = 64;

// Work below which waking other threads costs more than it gains.
constexpr size_t kParallelElements = 4096;
constexpr size_t kParallelBytes = size_t{256} << 10;  // of weights read, once for each pixel

// Tiles above these sizes are halved where threads have too little to do.
constexpr size_t kLeastPixels = 8, kLeastBlocks = 4;

struct Run {
  const Plan& plan;
  const KernelSet& kernels;
  const float* images;
  size_t count;
  Slot& slot;
  Maps maps;
};

// Where a tile's codes are made: in their map, if the stage stores no others and the tile's rows lie there as in a
// buffer, else in the buffer.
uint8_t* codes_of(const Run& run, const Stage& stage, size_t first_pixel, size_t channels, const RowBuffers& buffers) {
  if (stage.steps.empty() || stage.steps.back().kind != Step::Kind::StoreCode) return buffers.code.data();
  const bool is_only = std::count_if(stage.steps.begin(), stage.steps.end(), [](const Step& step) {
    return step.kind == Step::Kind::StoreCode;
  }) == 1;
  const bool is_alike = channels == stage.channels && channels == stage.pitch;
  if (!is_only || !is_alike || stage.steps.back().placement != nullptr) return buffers.code.data();
  return run.maps.at(stage.steps.back().map) + first_pixel * channels;
}

const uint8_t* operands_of(const Run& run, const Stage& stage) {
  const bool has_frame = stage.layer->frame_bytes(1) > 0;
  return run.maps.at(has_frame ? static_cast<int>(stage.frame) : stage.inputs[0]);
}

// A layer's tile as codes: right where they are stored, if no step comes in between.
void run_codes(const Run& run, const Stage& stage, const Tile& tile, const Row& row, RowBuffers& buffers) {
  size_t targets[kTilePixels];
  CodesArgs codes = codes_args(stage.steps.front(), run.maps, row);
  codes.targets = targets;
  const bool is_stored = stage.steps.size() == 2 && stage.steps[1].kind == Step::Kind::StoreCode;
  if (is_stored) {
    store_offsets(stage.steps[1], row, targets);
    codes.codes = run.maps.at(stage.steps[1].map);
  } else {
    for (size_t p = 0; p < row.pixels; ++p) targets[p] = p * row.pitch;
    codes.codes = row.code;
  }
  stage.layer->run_codes(tile, operands_of(run, stage), buffers.scratch.data(), codes);
  for (size_t i = 1; i < stage.steps.size() && !is_stored; ++i) run_step(stage.steps[i], run.kernels, run.maps, row);
}

void run_tile(const Run& run, const Stage& stage, const Tile& tile, RowBuffers& buffers) {
  const Block& first = stage.blocks[tile.first_block];
  const Block& last = stage.blocks[tile.first_block + tile.blocks - 1];
  const size_t channels = last.channel + last.lanes - first.channel;
  const Row row{reinterpret_cast<int32_t*>(buffers.acc.data()),
                reinterpret_cast<float*>(buffers.real.data()),
                codes_of(run, stage, tile.first_pixel, channels, buffers),
                tile.first_pixel,
                tile.pixels,
                first.channel,
                channels,
                stage.pitch};
  if (stage.makes_codes) return run_codes(run, stage, tile, row, buffers);
  if (stage.head == Head::Layer) {
    void* out = stage.made.kind == Kind::F32 ? static_cast<void*>(row.real) : static_cast<void*>(row.acc);
    stage.layer->run(tile, operands_of(run, stage), buffers.scratch.data(), out, stage.pitch);
  } else if (stage.head == Head::Whole) {
    read_frame(stage, run.maps.at(static_cast<int>(stage.frame)), row);
  } else if (stage.head == Head::Input) {
    read_input(stage, run.images, row);
  } else {
    run_head(stage, run.kernels, run.maps, row);
  }
  for (const Step& step : stage.steps) run_step(step, run.kernels, run.maps, row);
}

// Tiles of a stage: strips of pixels (all, or an image each), cut into pixel runs x block runs.
struct Grid {
  size_t strips, pixels, tile_pixels, unit_pixels, blocks, tile_blocks, unit_blocks;

  size_t runs() const { return ceil_div(pixels, tile_pixels); }
  size_t columns() const { return ceil_div(blocks, tile_blocks); }
  size_t size() const { return strips * runs() * columns(); }
  Tile tile(size_t index) const {
    const size_t run = index / columns(), start = run % runs() * tile_pixels;
    const size_t first_block = index % columns() * tile_blocks;
    return {run / runs() * pixels + start, std::min(tile_pixels, pixels - start), first_block,
            std::min(tile_blocks, blocks - first_block)};
  }
  bool halve_pixels(size_t least) {
    const size_t half = ceil_div(ceil_div(tile_pixels, 2), unit_pixels) * unit_pixels;
    if (tile_pixels <= least || half >= tile_pixels) return false;
    tile_pixels = half;
    return true;
  }
  bool halve_blocks(size_t least) {
    const size_t half = ceil_div(ceil_div(tile_blocks, 2), unit_blocks) * unit_blocks;
    if (tile_blocks <= least || half >= tile_blocks) return false;
    tile_blocks = half;
    return true;
  }
};

// With several threads tiles shrink until there are two for each, so that none waits long for the last: first to the
// pixels that the kernel prefers, then in blocks, at last below.
Grid make_grid(const Stage& stage, size_t images, size_t threads) {
  const size_t strips = stage.is_strip_image ? images : 1;
  Grid grid{strips, images / strips * stage.pixels, stage.tile_pixels, stage.unit_pixels, stage.blocks.size(),
            stage.tile_blocks, stage.layer == nullptr ? 1 : stage.layer->block_unit()};
  if (threads == 1) return grid;
  const size_t preferred = stage.layer == nullptr ? 1 : stage.layer->preferred_pixels();
  while (grid.size() < 2 * threads && grid.halve_pixels(std::max(kLeastPixels, preferred))) {}
  while (grid.size() < 2 * threads && grid.halve_blocks(kLeastBlocks)) {}
  while (grid.size() < 2 * threads && grid.halve_pixels(kLeastPixels)) {}
  return grid;
}

// All tasks of all images into the stage's frame.
void run_whole(const Run& run, const Stage& stage, Pool* pool) {
  const size_t tasks = stage.whole->tasks();
  const size_t bytes = value_bytes(stage.made);
  const auto body = [&](size_t index, size_t worker) {
    const size_t image = index / tasks;
    const uint8_t* inputs[kWholeInputs];
    for (size_t i = 0; i < stage.inputs.size(); ++i)
      inputs[i] = run.maps.at(stage.inputs[i]) + image * value_bytes(stage.types[i]);
    stage.whole->run(index % tasks, inputs, run.maps.at(static_cast<int>(stage.frame)) + image * bytes,
                     run.slot.rows[worker].scratch.data());
  };
  if (pool != nullptr) return pool->run(run.count * tasks, body);
  for (size_t index = 0; index < run.count * tasks; ++index) body(index, 0);
}

void run_stage(const Run& run, const Stage& stage, Pool* pool) {
  if (stage.head == Head::Layer && stage.layer->frame_bytes(1) > 0) {
    uint8_t* frame = run.maps.at(static_cast<int>(stage.frame));
    if (stage.is_prepared)
      stage.layer->fill_border(run.count, frame);
    else
      stage.layer->prepare(run.maps.at(stage.inputs[0]), run.count, frame);
  }
  if (stage.head == Head::Whole) run_whole(run, stage, pool);
  const size_t pixels = run.count * stage.pixels;
  const bool is_small = stage.layer == nullptr ? pixels * stage.channels < kParallelElements
                                               : pixels * stage.layer->weight_bytes() < kParallelBytes;
  const Grid grid = make_grid(stage, run.count, pool == nullptr || is_small ? 1 : pool->threads());
  const auto body = [&](size_t task, size_t worker) {
    run_tile(run, stage, grid.tile(task), run.slot.rows[worker]);
  };
  if (pool != nullptr && !is_small) return pool->run(grid.size(), body);
  for (size_t task = 0; task < grid.size(); ++task) body(task, 0);
}

}  // namespace

Buffer::Buffer(size_t bytes)
    : owner_(static_cast<uint8_t*>(std::calloc(bytes + kAlignment, 1)), std::free), start_(owner_.get()) {
  if (start_ == nullptr) throw std::bad_alloc();
  start_ += kAlignment - reinterpret_cast<uintptr_t>(start_) % kAlignment;
}

RowBuffers::RowBuffers(const Plan& plan)
    : acc(plan.row_elements * 4 + kSlack), real(plan.row_elements * 4 + kSlack), code(plan.row_elements + kSlack),
      scratch(plan.scratch_bytes + kSlack) {}

Slot::Slot(const Plan& plan, size_t threads) : arena(plan.arena_bytes) {
  rows.reserve(threads);
  for (size_t i = 0; i < threads; ++i) rows.emplace_back(plan);
}

void run_lot(const Plan& plan, const KernelSet& kernels, const float* images, size_t count, Slot& slot, Pool* pool) {
  const Run run{plan, kernels, images, count, slot, {slot.arena.data(), &plan.offsets}};
  for (const Stage& stage : plan.stages) run_stage(run, stage, pool);
}

std::vector<double> time_lot(const Plan& plan, const KernelSet& kernels, const float* images, size_t count,
                             Slot& slot) {
  using Clock = std::chrono::steady_clock;
  const Run run{plan, kernels, images, count, slot, {slot.arena.data(), &plan.offsets}};
  std::vector<double> seconds;
  Clock::time_point before = Clock::now();
  for (const Stage& stage : plan.stages) {
    run_stage(run, stage, nullptr);
    const Clock::time_point after = Clock::now();
    seconds.push_back(std::chrono::duration<double>(after - before).count());
    before = after;
  }
  return seconds;
}

}  // namespace kompakt
