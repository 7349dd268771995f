// Limits of docs/format.md, "Types and shapes". All counts are per image.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kompakt {

constexpr size_t kMaxNodes = 65536;
constexpr size_t kMaxConcat = 1024;
constexpr size_t kMaxDimension = size_t{1} << 24;
constexpr size_t kMaxElements = size_t{1} << 31;  // of all values together, and of one weight
constexpr size_t kMaxWindow = 4096;               // kernel, stride, dilation, padding
constexpr int kMaxBits = 8;
constexpr int kMaxShift = 30;  // of requantize

// Integer sums stay below this magnitude, so that they fit int32.
constexpr uint64_t kAccumulatorLimit = uint64_t{1} << 31;

constexpr int kWeightLevelLimit = 127;
constexpr int kActivationLevelLow = -128;
constexpr int kActivationLevelHigh = 255;

}  // namespace kompakt
