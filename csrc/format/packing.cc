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

}  // namespace

size_t packed_bytes(size_t count, const Encoding& encoding) {
  const size_t bits = static_cast<size_t>(encoding.bits);
  if (encoding.kind == Encoding::Kind::Planes) return checked_mul(bits, ceil_div(count, 8), "codes");
  return ceil_div(checked_mul(count, bits, "codes"), 8);
}

PackedCodes read_codes(Bytes packed, size_t count, const Encoding& encoding, const std::string& where) {
  const size_t bits = static_cast<size_t>(encoding.bits);
  const bool is_planes = encoding.kind == Encoding::Kind::Planes;
  const size_t plane_bytes = is_planes ? ceil_div(count, 8) : 0;
  if (!is_planes) check_unused_bits(packed, count * bits, where);
  for (size_t plane = 0; is_planes && plane < bits; ++plane) {
    check_unused_bits({packed.data + plane * plane_bytes, plane_bytes}, count, where);
  }
  return {packed.data, count, encoding.bits, plane_bytes};
}

}  // namespace kompakt
