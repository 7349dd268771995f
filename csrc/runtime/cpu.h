// What this CPU and operating system allow, and the instruction set level to use.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace kompakt {

// A wrong argument of the caller: array, thread count, instruction set word.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Name and presence of every feature that a level needs, from CPUID and XGETBV, or from the
// operating system on Arm.
std::vector<std::pair<std::string, bool>> cpu_features();

// Levels this CPU can run, slowest first; "portable" is always there.
std::vector<std::string> isa_levels();

// Kernels of the level called `word`, or of the fastest level where `word` is empty.
// Throws UsageError for an unknown word and for a level that this CPU lacks.
const KernelSet& select_kernels(const std::string& word);

}  // namespace kompakt
