// Arithmetic on sizes that come from a file. The helpers below are the only way to add or multiply such sizes: each
// refuses with ArtifactError("size") instead of wrapping around.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace kompakt {

[[noreturn]] inline void throw_size_overflow(const char* what) {
  throw ArtifactError("size", std::string(what) + ": expected a size below 2^64, the declared sizes exceed it");
}

// a + b; `what` names the quantity in the message.
inline size_t checked_add(size_t a, size_t b, const char* what) {
  if (b > std::numeric_limits<size_t>::max() - a) throw_size_overflow(what);
  return a + b;
}

// a * b.
inline size_t checked_mul(size_t a, size_t b, const char* what) {
  if (a != 0 && b > std::numeric_limits<size_t>::max() / a) throw_size_overflow(what);
  return a * b;
}

// ceil(a / b) for b > 0; never wraps.
inline size_t ceil_div(size_t a, size_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// Smallest multiple of `alignment` (> 0) that is >= a.
inline size_t checked_round_up(size_t a, size_t alignment, const char* what) {
  return checked_mul(ceil_div(a, alignment), alignment, what);
}

// Product of all extents; 1 for an empty shape.
inline size_t checked_product(const std::vector<size_t>& shape, const char* what) {
  size_t product = 1;
  for (const size_t extent : shape) product = checked_mul(product, extent, what);
  return product;
}

}  // namespace kompakt
