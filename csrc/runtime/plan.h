// From a verified program to stages: what runs after what, on which kernels, and where every value lies.
//
// A stage computes a tile of a value by its *head* (read the input, a stored map, a layer, a pool, a move of data) and
// runs *steps* on it while it is in a small private buffer. Fused plans put whole elementwise chains behind a head, so
// that float maps and sums between layers are never stored.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "runtime/choice.h"
#include "runtime/rows.h"

namespace kompakt {

enum class Head { Input, Map, Layer, SumPool, MaxPool, Concat, ShiftPad, Flatten, Gather, LayerNorm, Embedding, Whole };

struct Stage {
  Head head = Head::Map;
  const Node* node = nullptr;       // of the head; null for Input and Map
  const Layer* layer = nullptr;     // Head::Layer
  const WholeMap* whole = nullptr;  // Head::Whole: its result is a frame, which tiles read
  std::vector<int> inputs;          // value ids the head reads
  std::vector<ValueType> types;     // of those
  ValueType made;                   // type of the head's result
  std::vector<Step> steps;
  std::vector<int> stored;          // values that the steps store, in order
  size_t pixels = 1;                // of one image
  size_t channels = 1;
  std::vector<Block> blocks;        // output channels in units of work
  size_t pitch = 0;                 // of row buffers
  size_t tile_pixels = 1, tile_blocks = 1;
  size_t unit_pixels = 1;           // tiles hold a multiple of it, except at the end of a strip
  bool is_strip_image = false;      // tiles never cross images
  size_t frame = 0;                 // Head::Layer, Head::Whole: index of its frame among the plan's offsets
  bool makes_codes = false;         // the layer's kernel does the first step, a Rescale
  bool is_prepared = false;         // the stage `prepared_by` stores its codes in this one's frame
  size_t prepared_by = 0;
};

// The layers of a program by node index; null for other nodes. Shared by all plans of an engine.
using Layers = std::vector<Choice>;

struct Plan {
  std::vector<Stage> stages;
  std::vector<size_t> offsets;  // in the arena: of every value id, then of every frame; unused ids have none
  size_t arena_bytes = 0;       // for `images` images
  size_t images = 1;            // capacity
  size_t row_elements = 0;      // largest tile, in elements of a row buffer
  size_t scratch_bytes = 0;     // largest private memory of a layer
};

struct PlanOptions {
  size_t images = 1;
  bool is_fused = true;  // otherwise every node is a stage of its own and every value keeps its memory
};

// `program` must outlive the plan. Throws ArtifactError ("size") if the plan needs more memory than can be addressed.
Plan make_plan(const Program& program, const Layers& layers, const PlanOptions& options);

// Stages in order, memory not yet assigned.
std::vector<Stage> make_stages(const Program& program, const Layers& layers, bool is_fused);

// Assigns plan.offsets and plan.arena_bytes from the stages' reads and writes.
void place_values(const Program& program, bool keep_all, Plan& plan);

// Bytes of one image's value.
size_t value_bytes(const ValueType& type);

// Id of the value whose memory `value` shares: a reshape, or flatten of a 1 x 1 map, is the map itself.
int storage_of(const Program& program, int value);

}  // namespace kompakt
