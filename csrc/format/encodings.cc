#include "format/encodings.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/checked.h"
#include "format/limits.h"
#include "format/message.h"
#include "format/packing.h"

namespace kompakt {
namespace {

struct LevelRange {
  int low;
  int high;
};

constexpr LevelRange kActivationLevels{kActivationLevelLow, kActivationLevelHigh};
constexpr LevelRange kWeightLevels{-kWeightLevelLimit, kWeightLevelLimit};

// Kind and bits, without basis and table.
Encoding read_common(Attributes& attributes, std::string_view kind) {
  Encoding encoding;
  if (kind == "affine") {
    encoding.kind = Encoding::Kind::Affine;
    encoding.is_signed = attributes.flag("signed");
  } else if (kind == "planes") {
    encoding.kind = Encoding::Kind::Planes;
  } else if (kind == "table") {
    encoding.kind = Encoding::Kind::Table;
  } else {
    fail("encoding", attributes.where(), ": kind: expected a known encoding, found ", quoted(kind));
  }
  encoding.bits = static_cast<int>(attributes.integer("bits", 1, kMaxBits, "encoding"));
  return encoding;
}

bool is_signed_8bit(const Encoding& encoding) {
  return encoding.kind == Encoding::Kind::Affine && encoding.bits == 8 && encoding.is_signed;
}

void fill_affine_table(Encoding& encoding) {
  const int codes = static_cast<int>(encoding.codes());
  const int wrap = encoding.is_signed ? codes / 2 : codes;
  encoding.table.resize(encoding.codes());
  for (int code = 0; code < codes; ++code) {
    encoding.table[static_cast<size_t>(code)] = static_cast<int16_t>(code < wrap ? code : code - codes);
  }
}

// Basis entries have at most 8 bits and a sign: a level of 8 planes fits int16.
void fill_planes_table(Encoding& encoding, const std::string& where) {
  const size_t bits = static_cast<size_t>(encoding.bits);
  encoding.table.reserve(encoding.grains * encoding.codes());
  for (size_t grain = 0; grain < encoding.grains; ++grain) {
    const int16_t* basis = encoding.basis.data() + grain * bits;
    if (std::all_of(basis, basis + bits, [](int16_t v) { return v == 0; })) {
      fail("encoding", where, ": expected a basis with a value other than 0, found none in grain ", grain);
    }
    for (size_t code = 0; code < encoding.codes(); ++code) {
      int level = 0;
      for (size_t i = 0; i < bits; ++i) {
        const bool is_set = ((code >> i) & 1) != 0;
        level += is_set ? basis[i] : encoding.digits_pm ? -basis[i] : 0;
      }
      encoding.table.push_back(static_cast<int16_t>(level));
    }
  }
}

void check_levels(const Encoding& encoding, LevelRange range, const std::string& where) {
  for (const int16_t level : encoding.table) {
    if (level < range.low || level > range.high) {
      fail("encoding", where, ": expected levels in [", range.low, ", ", range.high, "], found ", level);
    }
  }
}

std::vector<int16_t> read_numbers(Attributes& attributes, std::string_view key, size_t count) {
  const auto numbers = attributes.integers(key, kActivationLevelLow, kActivationLevelHigh, "encoding");
  if (numbers.size() != count) {
    fail("encoding", attributes.where(), ": ", key, ": expected ", count, " integers, found ", numbers.size());
  }
  return {numbers.begin(), numbers.end()};
}

std::vector<size_t> read_weight_shape(Attributes& attributes, size_t dimensions) {
  const auto extents = attributes.integers("shape", 1, kMaxDimension, "shape");
  if (extents.size() != dimensions) {
    fail("shape", attributes.where(), ": shape: expected ", dimensions, " dimensions, found ", extents.size());
  }
  std::vector<size_t> shape(extents.begin(), extents.end());
  for (size_t i = 2; i < dimensions; ++i) {
    if (shape[i] > kMaxWindow) {
      fail("shape", attributes.where(), ": shape: expected a kernel of at most ", kMaxWindow, ", found ", shape[i]);
    }
  }
  const size_t count = checked_product(shape, "weight");
  if (count > kMaxElements) fail("size", attributes.where(), ": expected at most 2^31 elements, found ", count);
  return shape;
}

void fill_weight_tables(Encoding& encoding, Sections& sections, const std::string& where) {
  if (encoding.kind == Encoding::Kind::Affine) return fill_affine_table(encoding);
  const bool is_planes = encoding.kind == Encoding::Kind::Planes;
  const size_t per_grain = is_planes ? static_cast<size_t>(encoding.bits) : encoding.codes();
  const auto bases = sections.take_bases(checked_mul(encoding.grains, per_grain, "bases"), where);
  (is_planes ? encoding.basis : encoding.table).assign(bases.begin(), bases.end());
  if (is_planes) fill_planes_table(encoding, where);
}

bool has_byte(Bytes bytes, uint8_t wanted) { return std::memchr(bytes.data, wanted, bytes.size) != nullptr; }

bool has_code(const PackedCodes& codes, uint8_t wanted) {
  for (size_t i = 0; i < codes.size(); ++i)
    if (codes[i] == wanted) return true;
  return false;
}

// Refuses a weight of a variant, without codes yet, that cannot be a part of the one of the highest bit-width.
void check_part(const Weight& part, const Weight& whole, const std::string& where) {
  if (part.is_float != whole.is_float) {
    fail("node", where, ": weight: expected codes where the highest bit-width has them, else floats, found the other");
  }
  if (part.shape != whole.shape) {
    fail("shape", where, ": weight: expected the shape ", shape_text(whole.shape), " of the highest bit-width, found ",
         shape_text(part.shape));
  }
  if (!part.is_float && part.encoding.bits > whole.encoding.bits) {
    fail("encoding", where, ": weight: expected at most the ", whole.encoding.bits, " bits that are stored, found ",
         part.encoding.bits);
  }
}

}  // namespace

Encoding read_activation_encoding(Attributes attributes) {
  const std::string kind = attributes.string("kind");
  Encoding encoding = read_common(attributes, kind);
  if (encoding.kind == Encoding::Kind::Affine) {
    fill_affine_table(encoding);
  } else if (encoding.kind == Encoding::Kind::Planes) {
    encoding.digits_pm = attributes.choice("digits", "01", "pm") == "pm";
    encoding.basis = read_numbers(attributes, "basis", static_cast<size_t>(encoding.bits));
    fill_planes_table(encoding, attributes.where());
  } else {
    encoding.table = read_numbers(attributes, "levels", encoding.codes());
  }
  attributes.finish();
  check_levels(encoding, kActivationLevels, attributes.where());
  return encoding;
}

Weight read_weight(Attributes attributes, const std::string& name, size_t dimensions, Sections& sections) {
  const std::string& where = attributes.where();
  const std::string kind = attributes.string("kind");
  Weight weight;
  weight.is_float = kind == "float";
  if (!weight.is_float) weight.encoding = read_common(attributes, kind);
  weight.shape = read_weight_shape(attributes, dimensions);
  const size_t count = checked_product(weight.shape, "weight");
  const Weight* whole = sections.is_shared() ? &sections.shared_weight(name, where) : nullptr;
  if (whole != nullptr) check_part(weight, *whole, where);
  if (weight.is_float) {
    attributes.finish();
    weight.values = whole != nullptr ? whole->values : sections.take_floats(count, where);
    return weight;
  }

  Encoding& encoding = weight.encoding;
  if (encoding.kind != Encoding::Kind::Affine) {
    const bool is_tensor = attributes.choice("grain", "channel", "tensor") == "tensor";
    encoding.grains = is_tensor ? 1 : weight.shape[0];
    // With one output channel both words mean the same; only the default may be used.
    if (is_tensor && weight.shape[0] == 1) attributes.refuse_default("grain");
  }
  if (encoding.kind == Encoding::Kind::Planes) encoding.digits_pm = attributes.choice("digits", "pm", "01") == "pm";
  attributes.finish();

  const Bytes packed = whole != nullptr ? Bytes{} : sections.take_codes(packed_bytes(count, encoding), where);
  fill_weight_tables(encoding, sections, where);
  // Of an 8-bit signed weight the code -128 is refused where it occurs; all other levels where they could.
  if (!is_signed_8bit(encoding)) check_levels(encoding, kWeightLevels, where);
  weight.codes = whole != nullptr ? whole->codes.first_bits(encoding.bits) : read_codes(packed, count, encoding, where);
  if (is_signed_8bit(encoding) && (whole != nullptr ? has_code(weight.codes, 0x80) : has_byte(packed, 0x80))) {
    fail("value", where, ": expected 8-bit signed weights in [-127, 127], found -128");
  }
  return weight;
}

uint64_t max_level(const Encoding& encoding) {
  int largest = 0;
  for (const int16_t level : encoding.table) largest = std::max(largest, std::abs(int{level}));
  return static_cast<uint64_t>(largest);
}

bool has_level_zero(const Encoding& encoding) {
  return std::find(encoding.table.begin(), encoding.table.end(), 0) != encoding.table.end();
}

// At most 2^31 elements of magnitude at most 127: fits 64 bits.
ChannelSum largest_level_sum(const Weight& weight) {
  const size_t channels = weight.shape[0];
  const size_t per_channel = weight.codes.size() / channels;
  ChannelSum largest;
  for (size_t channel = 0; channel < channels; ++channel) {
    const size_t grain = weight.encoding.grains == 1 ? 0 : channel;
    const int16_t* table = weight.encoding.table.data() + grain * weight.encoding.codes();
    const size_t first = channel * per_channel;
    uint64_t sum = 0;
    for (size_t i = 0; i < per_channel; ++i) sum += static_cast<uint64_t>(std::abs(int{table[weight.codes[first + i]]}));
    if (sum > largest.sum) largest = {channel, sum};
  }
  return largest;
}

}  // namespace kompakt
