#include "format/packing.h"

#include "base/checked.h"
#include "format/message.h"

namespace kompakt {
namespace {

// Refuses set bits behind the first `bits` bits of a stream.
void check_unused_bits(Bytes stream, size_t bits, const std::string& where) {
  const size_t used = bits % 8;
  if (used != 0 && (stream.data[stream.size - 1] >> used) != 0) {
    fail("value", where, ": expected unused bits of the packed codes to be 0, found 1");
  }
}

// Little-endian stream: bit j of code i is bit i * width + j, bit 0 of a byte first.
std::vector<uint8_t> unpack_stream(Bytes packed, size_t count, unsigned width) {
  std::vector<uint8_t> codes(count);
  const unsigned mask = (1U << width) - 1U;
  unsigned window = 0;  // at most 7 left-over bits and 8 new ones
  unsigned available = 0;
  size_t next = 0;
  for (uint8_t& code : codes) {
    if (available < width) {
      window |= unsigned{packed.data[next++]} << available;
      available += 8;
    }
    code = static_cast<uint8_t>(window & mask);
    window >>= width;
    available -= width;
  }
  return codes;
}

std::vector<uint8_t> unpack_planes(Bytes packed, size_t count, size_t planes) {
  std::vector<uint8_t> codes(count);
  const size_t plane_bytes = ceil_div(count, 8);
  for (size_t plane = 0; plane < planes; ++plane) {
    const uint8_t* bits = packed.data + plane * plane_bytes;
    for (size_t i = 0; i < count; ++i) {
      const unsigned bit = (unsigned{bits[i / 8]} >> (i % 8)) & 1U;
      codes[i] = static_cast<uint8_t>(codes[i] | bit << plane);
    }
  }
  return codes;
}

}  // namespace

size_t packed_bytes(size_t count, const Encoding& encoding) {
  const size_t bits = static_cast<size_t>(encoding.bits);
  if (encoding.kind == Encoding::Kind::Planes) return checked_mul(bits, ceil_div(count, 8), "codes");
  return ceil_div(checked_mul(count, bits, "codes"), 8);
}

std::vector<uint8_t> unpack_codes(Bytes packed, size_t count, const Encoding& encoding, const std::string& where) {
  const size_t bits = static_cast<size_t>(encoding.bits);
  if (encoding.kind != Encoding::Kind::Planes) {
    check_unused_bits(packed, count * bits, where);
    return unpack_stream(packed, count, static_cast<unsigned>(bits));
  }
  const size_t plane_bytes = ceil_div(count, 8);
  for (size_t plane = 0; plane < bits; ++plane) {
    check_unused_bits({packed.data + plane * plane_bytes, plane_bytes}, count, where);
  }
  return unpack_planes(packed, count, bits);
}

}  // namespace kompakt
