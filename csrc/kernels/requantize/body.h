// Sums to codes by shifts, as plain loops. Shifts of negative numbers are those of their two's complement.
#pragma once

template <Addend A>
inline int32_t addend_at(const RequantizeArgs& a, size_t at) {
  if (A == Addend::Code) return (a.map[at] ^ a.sign) - a.sign;
  int32_t sum;
  __builtin_memcpy(&sum, a.map + at * sizeof sum, sizeof sum);
  return sum;
}

template <Addend A>
void requantize_by(const RequantizeArgs a) {
  for (size_t p = 0; p < a.pixels; ++p) {
    const int32_t* KOMPAKT_RESTRICT x = a.x + p * a.pitch;
    uint8_t* KOMPAKT_RESTRICT code = a.code + p * a.pitch;
    for (size_t c = 0; c < a.lanes; ++c) {
      uint32_t sum = (static_cast<uint32_t>(x[c]) << a.left[c]) + static_cast<uint32_t>(a.offset[c]);
      if (A != Addend::None) sum += static_cast<uint32_t>(addend_at<A>(a, p * a.map_pitch + c)) << a.map_left[c];
      int32_t v = static_cast<int32_t>(sum) >> a.right[c];
      v = v > a.lo ? v : a.lo;
      v = v < a.hi ? v : a.hi;
      code[c] = static_cast<uint8_t>(v) & a.mask;
    }
  }
}

[[maybe_unused]] void requantize(const RequantizeArgs& a) {
  switch (a.addend) {
    case Addend::None: return requantize_by<Addend::None>(a);
    case Addend::Code: return requantize_by<Addend::Code>(a);
    case Addend::Sum: return requantize_by<Addend::Sum>(a);
  }
}
