#include "runtime/cpu.h"

#if defined(__x86_64__)
#include "runtime/cpuid.h"
#include "runtime/tiles.h"
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace kompakt {
namespace {

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
  bool (*is_permitted)();  // by the operating system, asked where the CPU has all that the level needs
};

bool always() { return true; }

// Slowest first; each needs what those before it need, too.
const std::vector<Level>& levels() {
  static const std::vector<Level> list = {
      {"portable", portable_kernels, {}, always},
#if defined(__x86_64__)
      {"avx2", avx2_kernels, {"avx2", "popcnt", "bmi2"}, always},
      {"avx512",
       avx512_kernels,
       {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx512vnni", "avx512bitalg", "avx512vpopcntdq"},
       always},
      {"amx", amx_kernels, {"amx_tile", "amx_int8"}, may_use_tiles},
#elif defined(__aarch64__)
      {"neon", neon_kernels, {"asimd"}, always},
      {"dotprod", dotprod_kernels, {"asimddp"}, always},
#endif
  };
  return list;
}

std::string in_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::vector<std::pair<std::string, bool>> cpu_features() {
#if defined(__x86_64__)
  const CpuidRegisters leaf1 = cpuid(1), leaf7 = cpuid(7);
  const uint64_t state = saved_state();
  const TileFeatures tiles = tile_features();
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
      {"amx_tile", tiles.tile},
      {"amx_int8", tiles.int8},
  };
#elif defined(__aarch64__) && defined(__linux__)
  const unsigned long capabilities = getauxval(AT_HWCAP);
  return {{"asimd", (capabilities & HWCAP_ASIMD) != 0}, {"asimddp", (capabilities & HWCAP_ASIMDDP) != 0}};
#elif defined(__aarch64__)
  return {{"asimd", true}};  // part of every 64-bit Arm CPU; the rest is known on Linux only
#else
  return {};
#endif
}

std::vector<std::string> isa_levels() {
  const auto features = cpu_features();
  std::vector<std::string> names;
  for (const Level& level : levels()) {
    if (!all_of(features, level.needs) || !level.is_permitted()) break;
    names.push_back(level.name);
  }
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
                     in_words(usable) + " (set by KOMPAKT_ISA?)");
  }
  std::vector<std::string> known;
  for (const Level& level : levels()) known.push_back(level.name);
  throw UsageError("unknown instruction set level '" + name + "'; expected one of " + in_words(known) +
                   " (set by KOMPAKT_ISA?)");
}

}  // namespace kompakt
