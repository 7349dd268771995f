// Vectors of the compiler's own kind anywhere in memory. As a memcpy, g++ 12 moves the larger ones in halves, by way of the
// stack.
#pragma once

template <typename Vector>
struct __attribute__((packed, may_alias)) AnywhereInMemory {
  Vector v;
};

template <typename Vector>
inline Vector load_vector(const void* at) {
  return static_cast<const AnywhereInMemory<Vector>*>(at)->v;
}

template <typename Vector>
inline void store_vector(void* at, Vector v) {
  static_cast<AnywhereInMemory<Vector>*>(at)->v = v;
}
