#include "runtime/plan.h"

#include <algorithm>

#include "base/checked.h"
#include "runtime/rescale.h"

namespace kompakt {
namespace {

// Elements of a tile's row buffer: sums, floats and codes of a tile together stay in the first-level cache.
constexpr size_t kTileElements = 2048;
// The same, in the second-level cache: for kernels that need many pixels; and where tiles are whole rows, whose inputs
// are transformed anew for every run of blocks.
constexpr size_t kWideTileElements = 16384;
constexpr size_t kRowTileElements = 65536;
constexpr size_t kMaxTileBlocks = 64;

size_t padded_bytes(size_t bytes) {
  return checked_round_up(checked_add(bytes, kSlack, "arena"), 64, "arena");
}

// Lanes from the first channel of a run of `count` blocks to the end of the last one's 16 lanes.
size_t row_pitch(const std::vector<Block>& blocks, size_t count) {
  size_t pitch = 0;
  for (size_t first = 0; first < blocks.size(); first += count) {
    const Block& last = blocks[std::min(first + count, blocks.size()) - 1];
    pitch = std::max(pitch, last.channel + kLanes - blocks[first].channel);
  }
  return (pitch + kLanes - 1) / kLanes * kLanes;
}

// About `wanted` pixels, so that no small tile is left at the end.
size_t even_tile(size_t pixels, size_t wanted) {
  const size_t tiles = std::max<size_t>(1, (pixels + wanted / 2) / wanted);
  return std::min(kTilePixels, ceil_div(pixels, tiles));
}

// Tiles of whole rows.
void set_row_tiling(Stage& stage, size_t width) {
  stage.is_strip_image = true;
  stage.unit_pixels = stage.layer->row_unit() * width;
  stage.tile_pixels = stage.layer->tile_rows() * width;
  const size_t blocks = kRowTileElements / (stage.tile_pixels * kLanes);
  stage.tile_blocks = std::clamp<size_t>(blocks, 1, stage.blocks.size());
  stage.pitch = row_pitch(stage.blocks, stage.tile_blocks);
}

// Images of a lot share one pass over the weights of layers with one pixel: their tiles hold all images, fewer blocks.
void set_tiling(Stage& stage, size_t images) {
  const MapShape shape(stage.made.shape);
  stage.pixels = shape.pixels();
  stage.channels = shape.channels;
  if (stage.layer != nullptr) {
    stage.blocks = stage.layer->blocks();
  } else {
    for (size_t c = 0; c < shape.channels; c += kLanes)
      stage.blocks.push_back({c, std::min(kLanes, shape.channels - c)});
  }
  const size_t together = stage.layer != nullptr && stage.pixels == 1 ? images : 1;  // share a pass over the weights
  const size_t preferred = stage.layer == nullptr ? 1 : stage.layer->preferred_pixels();
  const size_t wanted = std::max(std::min(preferred, stage.pixels * images), together);
  const size_t unit = stage.layer == nullptr ? 1 : stage.layer->block_unit();
  const size_t elements = wanted <= together && unit == 1 ? kTileElements : kWideTileElements;
  stage.tile_blocks = std::min({stage.blocks.size(), kMaxTileBlocks, elements / (wanted * kLanes)});
  stage.tile_blocks = std::max<size_t>(stage.tile_blocks / unit, 1) * unit;
  stage.pitch = row_pitch(stage.blocks, stage.tile_blocks);
  const bool is_per_channel = std::any_of(stage.steps.begin(), stage.steps.end(),
                                          [](const Step& step) { return step.is_per_channel(); });
  if (stage.layer == nullptr && !is_per_channel && shape.channels < kLanes) stage.pitch = shape.channels;
  stage.tile_pixels = std::clamp<size_t>(std::max(kTileElements / stage.pitch, wanted), 1, kTilePixels);
  if (stage.layer != nullptr) stage.tile_pixels = even_tile(stage.pixels * images, stage.tile_pixels);
  if (stage.layer != nullptr && stage.layer->tile_rows() > 0) set_row_tiling(stage, shape.width);
}

// A span of stages during which memory is in use.
struct Lifetime {
  size_t id, bytes, first, last;
};

class Placer {
 public:
  Placer(const Program& program, bool keep_all, Plan& plan) : program_(program), keep_all_(keep_all), plan_(plan) {}

  void place() {
    collect();
    std::sort(spans_.begin(), spans_.end(), [](const Lifetime& a, const Lifetime& b) {
      return a.bytes != b.bytes ? a.bytes > b.bytes : a.id < b.id;
    });
    std::vector<Lifetime> placed;  // by offset
    for (const Lifetime& span : spans_) {
      const size_t offset = lowest_gap(placed, span);
      const auto after = std::find_if(placed.begin(), placed.end(),
                                      [&](const Lifetime& other) { return plan_.offsets[other.id] > offset; });
      placed.insert(after, span);
      plan_.offsets[span.id] = offset;
      plan_.arena_bytes = std::max(plan_.arena_bytes, checked_add(offset, span.bytes, "arena"));
    }
  }

 private:
  void collect() {
    const size_t end = plan_.stages.size();
    std::vector<size_t> last(program_.nodes.size() + 1, 0);
    for (size_t s = 0; s < end; ++s) {
      for (const int input : plan_.stages[s].inputs) last[static_cast<size_t>(input)] = s;
      for (const Step& step : plan_.stages[s].steps)
        if (step.reads_map()) last[static_cast<size_t>(step.map)] = s;
    }
    last[static_cast<size_t>(storage_of(program_, program_.output))] = end;
    for (size_t s = 0; s < end; ++s) {
      for (const int value : plan_.stages[s].stored) {
        const ValueType type = program_.value_type(value);
        const size_t bytes = value_bytes(type);
        const size_t id = static_cast<size_t>(value);
        add(id, checked_mul(bytes, plan_.images, "value"), s, keep_all_ ? end : std::max(s, last[id]));
      }
      add_frame(s);
    }
  }

  void add_frame(size_t s) {
    const Stage& stage = plan_.stages[s];
    if (stage.layer == nullptr && stage.whole == nullptr) return;
    const size_t bytes = stage.layer != nullptr ? stage.layer->frame_bytes(plan_.images)
                                                : checked_mul(value_bytes(stage.made), plan_.images, "value");
    if (bytes > 0) add(stage.frame, bytes, stage.is_prepared ? stage.prepared_by : s, s);
  }

  void add(size_t id, size_t bytes, size_t first, size_t last) {
    spans_.push_back({id, padded_bytes(bytes), first, last});
  }

  // Lowest offset at which `span` fits beside those of `placed` that are in use at the same time.
  size_t lowest_gap(const std::vector<Lifetime>& placed, const Lifetime& span) const {
    size_t offset = 0;
    for (const Lifetime& other : placed) {
      if (other.last < span.first || span.last < other.first) continue;
      const size_t start = plan_.offsets[other.id];
      if (start >= checked_add(offset, span.bytes, "arena")) break;
      offset = std::max(offset, start + other.bytes);
    }
    return offset;
  }

  const Program& program_;
  bool keep_all_;
  Plan& plan_;
  std::vector<Lifetime> spans_;
};

// Gives every layer's frame an index behind the values'.
void number_frames(const Program& program, Plan& plan) {
  plan.offsets.assign(program.nodes.size() + 1, 0);
  for (Stage& stage : plan.stages) {
    if (stage.layer == nullptr && stage.whole == nullptr) continue;
    stage.frame = plan.offsets.size();
    plan.offsets.push_back(0);
  }
}

// Readings of every value by stages.
std::vector<size_t> count_readers(const Program& program, const Plan& plan) {
  std::vector<size_t> readers(program.nodes.size() + 1, 0);
  ++readers[static_cast<size_t>(storage_of(program, program.output))];
  for (const Stage& stage : plan.stages) {
    for (const int input : stage.inputs) ++readers[static_cast<size_t>(input)];
    for (const Step& step : stage.steps)
      if (step.reads_map()) ++readers[static_cast<size_t>(step.map)];
  }
  return readers;
}

// Lets a stage store its codes in the frame of the layer that alone reads them, if that holds codes.
void store_in_frames(const Program& program, Plan& plan) {
  const std::vector<size_t> readers = count_readers(program, plan);
  for (Stage& reader : plan.stages) {
    const Placement* placement = reader.layer == nullptr ? nullptr : reader.layer->input_placement();
    if (placement == nullptr || readers[static_cast<size_t>(reader.inputs[0])] != 1) continue;
    for (size_t s = 0; s < plan.stages.size(); ++s) {
      Stage& maker = plan.stages[s];
      const auto stored = std::find(maker.stored.begin(), maker.stored.end(), reader.inputs[0]);
      if (stored == maker.stored.end()) continue;
      maker.stored.erase(stored);
      for (Step& step : maker.steps)
        if (step.kind == Step::Kind::StoreCode && step.map == reader.inputs[0]) {
          step.map = static_cast<int>(reader.frame);
          step.placement = placement;
        }
      reader.is_prepared = true;
      reader.prepared_by = s;
      break;
    }
  }
}

}  // namespace

size_t value_bytes(const ValueType& type) {
  return checked_mul(checked_product(type.shape, "value"), type.kind == Kind::Code ? 1 : 4, "value");
}

void place_values(const Program& program, bool keep_all, Plan& plan) { Placer(program, keep_all, plan).place(); }

Plan make_plan(const Program& program, const Layers& layers, const PlanOptions& options) {
  Plan plan;
  plan.images = options.images;
  plan.stages = make_stages(program, layers, options.is_fused);
  for (Stage& stage : plan.stages) {
    merge_rescales(stage.steps);
    stage.makes_codes = stage.layer != nullptr && stage.layer->makes_codes() && !stage.steps.empty() &&
                        suits_kernels(stage.steps.front());
    set_tiling(stage, plan.images);
    plan.row_elements = std::max(plan.row_elements, stage.tile_pixels * stage.pitch);
    if (stage.layer != nullptr)
      plan.scratch_bytes = std::max(plan.scratch_bytes, stage.layer->scratch_bytes(stage.tile_pixels));
    if (stage.whole != nullptr) plan.scratch_bytes = std::max(plan.scratch_bytes, stage.whole->scratch_bytes());
  }
  number_frames(program, plan);
  if (options.is_fused) store_in_frames(program, plan);
  place_values(program, !options.is_fused, plan);
  return plan;
}

}  // namespace kompakt
