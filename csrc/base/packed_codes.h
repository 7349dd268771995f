// Codes of a weight, read where they lie in a file, as docs/format.md packs them: b bits per code in one little-endian
// stream, or one stream of bits per plane. Nested codes are the first (most significant) bits of longer ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kompakt {

class PackedCodes {
 public:
  PackedCodes() = default;
  // `plane_bytes`: bytes of a plane's stream; 0: codes are one stream. `data` must outlive every read.
  PackedCodes(const uint8_t* data, size_t count, int bits, size_t plane_bytes)
      : data_(data), count_(count), plane_bytes_(plane_bytes), bits_(static_cast<unsigned>(bits)) {}

  // The first `bits` bits of every code, at most as many as it has.
  PackedCodes first_bits(int bits) const {
    PackedCodes nested = *this;
    nested.bits_ = static_cast<unsigned>(bits);
    nested.dropped_ = dropped_ + bits_ - nested.bits_;
    return nested;
  }

  size_t size() const { return count_; }

  // Code `i` < size().
  uint8_t operator[](size_t i) const { return plane_bytes_ == 0 ? from_stream(i) : from_planes(i); }

 private:
  uint8_t from_stream(size_t i) const {
    const size_t bit = i * (bits_ + dropped_) + dropped_;
    const unsigned skipped = bit % 8;
    unsigned window = data_[bit / 8];
    if (skipped + bits_ > 8) window |= unsigned{data_[bit / 8 + 1]} << 8;
    return static_cast<uint8_t>(window >> skipped & ((1U << bits_) - 1U));
  }

  uint8_t from_planes(size_t i) const {
    unsigned code = 0;
    for (unsigned plane = 0; plane < bits_; ++plane)
      code |= (unsigned{data_[(dropped_ + plane) * plane_bytes_ + i / 8]} >> i % 8 & 1U) << plane;
    return static_cast<uint8_t>(code);
  }

  const uint8_t* data_ = nullptr;
  size_t count_ = 0;
  size_t plane_bytes_ = 0;
  unsigned bits_ = 0;
  unsigned dropped_ = 0;  // bits that are stored below those of a code
};

}  // namespace kompakt
