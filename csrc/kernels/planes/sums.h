// Sum of a window's levels, from its bit planes. The including file defines count_ones(word).
#pragma once

void plane_sums(const PlanesArgs& a, uint64_t last_mask, int32_t* sums) {
  const uint64_t* x = a.operands;
  for (size_t p = 0; p < a.pixel_count; ++p) {
    uint32_t sum = 0;
    for (size_t j = 0; j < a.operand_planes; ++j, x += a.words) {
      uint64_t count = count_ones(x[a.words - 1] & last_mask);
      for (size_t k = 0; k + 1 < a.words; ++k) count += count_ones(x[k]);
      sum += static_cast<uint32_t>(a.operand_factor[j]) * static_cast<uint32_t>(count);
    }
    sums[p] = static_cast<int32_t>(sum);
  }
}
