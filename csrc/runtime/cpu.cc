#include "runtime/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdint>

namespace kompakt {
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

#if defined(__x86_64__)
Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// Register state that the operating system saves; without it the instructions trap.
uint64_t saved_state(const Registers& leaf1) {
  if ((leaf1.ecx >> 27 & 1) == 0) return 0;  // no OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}
#endif

bool all_of(const std::vector<std::pair<std::string, bool>>& features, const std::vector<std::string>& needed) {
  for (const std::string& name : needed) {
    bool has = false;
    for (const auto& feature : features) has = has || (feature.first == name && feature.second);
    if (!has) return false;
  }
  return true;
}

struct Level {
  const char* name;
  const KernelSet& (*kernels)();
  std::vector<std::string> needs;
};

// Slowest first.
const std::vector<Level>& levels() {
  static const std::vector<Level> list = {
      {"portable", portable_kernels, {}},
#if defined(__x86_64__)
      {"avx2", avx2_kernels, {"avx2", "popcnt", "bmi2"}},
      {"avx512",
       avx512_kernels,
       {"avx2", "popcnt", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx512vnni",
        "avx512bitalg", "avx512vpopcntdq"}},
#endif
  };
  return list;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::vector<std::pair<std::string, bool>> cpu_features() {
#if defined(__x86_64__)
  const Registers leaf1 = cpuid(1, 0), leaf7 = cpuid(7, 0);
  const uint64_t state = saved_state(leaf1);
  const bool ymm = (state & 0x06) == 0x06;
  const bool zmm = (state & 0xe6) == 0xe6;
  const auto bit = [](unsigned value, int position) { return (value >> position & 1) != 0; };
  return {
      {"popcnt", bit(leaf1.ecx, 23)},
      {"bmi2", bit(leaf7.ebx, 8)},
      {"avx2", ymm && bit(leaf1.ecx, 28) && bit(leaf7.ebx, 5)},
      {"avx512f", zmm && bit(leaf7.ebx, 16)},
      {"avx512bw", zmm && bit(leaf7.ebx, 30)},
      {"avx512vl", zmm && bit(leaf7.ebx, 31)},
      {"avx512dq", zmm && bit(leaf7.ebx, 17)},
      {"avx512vbmi", zmm && bit(leaf7.ecx, 1)},
      {"avx512vnni", zmm && bit(leaf7.ecx, 11)},
      {"avx512bitalg", zmm && bit(leaf7.ecx, 12)},
      {"avx512vpopcntdq", zmm && bit(leaf7.ecx, 14)},
  };
#else
  return {};
#endif
}

std::vector<std::string> isa_levels() {
  const auto features = cpu_features();
  std::vector<std::string> names;
  for (const Level& level : levels())
    if (all_of(features, level.needs)) names.push_back(level.name);
  return names;
}

const KernelSet& select_kernels(const std::string& word) {
  const std::vector<std::string> usable = isa_levels();
  const std::string name = word.empty() ? usable.back() : word;
  for (const Level& level : levels()) {
    if (name != level.name) continue;
    for (const std::string& candidate : usable)
      if (candidate == name) return level.kernels();
    throw UsageError("instruction set level '" + name + "' is not supported by this CPU; it supports " +
                     joined(usable) + " (set by KOMPAKT_ISA?)");
  }
  throw UsageError("unknown instruction set level '" + name +
                   "'; expected portable, avx2 or avx512 (set by KOMPAKT_ISA?)");
}

}  // namespace kompakt
