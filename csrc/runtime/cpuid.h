// CPUID and XGETBV of x86-64.
#pragma once

#include <cpuid.h>

#include <cstdint>

namespace kompakt {

struct CpuidRegisters {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

inline CpuidRegisters cpuid(unsigned leaf) {
  CpuidRegisters r;
  __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// Register state that the operating system saves; without it the instructions trap.
inline uint64_t saved_state() {
  if ((cpuid(1).ecx >> 27 & 1) == 0) return 0;  // no OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

}  // namespace kompakt
