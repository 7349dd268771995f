// Float rules of docs/numerics.md for the current thread, whatever its caller has set.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace kompakt {

// While it lives: round to nearest even, keep subnormals. A caller may have switched to flushing them to zero
// (torch.set_flush_denormal), which would change results.
class [[maybe_unused]] FloatMode {
 public:
  FloatMode() : saved_(get()) { set(kDefault); }
  ~FloatMode() { set(saved_); }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__SSE2__)
  using Control = unsigned;
  static constexpr Control kDefault = 0x1f80;  // all exceptions masked, nothing flushed, nearest even
  static Control get() { return _mm_getcsr(); }
  static void set(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kDefault = 0;  // no exception traps, nothing flushed, nearest even
  static Control get() {
    Control value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(Control value) { __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
  using Control = int;
  static constexpr Control kDefault = 0;
  static Control get() { return 0; }
  static void set(Control) {}
#endif

  Control saved_;
};

}  // namespace kompakt
