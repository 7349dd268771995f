// Products with packed weights, by the width of their codes: gemv_bits<B> for widths up to the level's kGemvBits, and 8.
#pragma once

template <int B>
void gemv_from(const GemvArgs& a) {
  if constexpr (B > kGemvBits)
    gemv_bits<8>(a);
  else if (a.bits == B)
    gemv_bits<B>(a);
  else
    gemv_from<B + 1>(a);
}

void gemv(const GemvArgs& a) { gemv_from<1>(a); }
