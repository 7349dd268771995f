// Operators that compute a whole map at once, from whole input maps: attention and recurrent layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/program.h"
#include "kernels/kernels.h"

namespace kompakt {

class WholeMap {
 public:
  virtual ~WholeMap() = default;

  // Independent parts of the work on one image.
  virtual size_t tasks() const = 0;
  // Bytes of private memory that one task needs.
  virtual size_t scratch_bytes() const = 0;
  // Does one part for one image: `inputs` are its input maps (H, W, C), `out` its result. Needs no order of tasks.
  virtual void run(size_t task, const uint8_t* const* inputs, uint8_t* out, uint8_t* scratch) const = 0;
};

// Most inputs of such an operator.
constexpr size_t kWholeInputs = 3;

class Layer;

std::unique_ptr<WholeMap> make_attention(const Node& node, const KernelSet& kernels);
// `layer` computes the product with the state, of one pixel; it must outlive the result.
std::unique_ptr<WholeMap> make_recurrent(const Node& node, const KernelSet& kernels, const Layer& layer);

}  // namespace kompakt
