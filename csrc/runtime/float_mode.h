// Float rules of docs/numerics.md for the current thread, whatever its caller has set.
#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace kompakt {

// While it lives: round to nearest even, keep subnormals. A caller may have switched to flushing them to zero
// (torch.set_flush_denormal), which would change results.
class [[maybe_unused]] FloatMode {
 public:
#if defined(__SSE2__)
  FloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~FloatMode() { _mm_setcsr(saved_); }
#else
  FloatMode() = default;
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

#if defined(__SSE2__)
 private:
  static constexpr unsigned kDefault = 0x1f80;  // all exceptions masked, nothing flushed, nearest even
  unsigned saved_;
#endif
};

}  // namespace kompakt
