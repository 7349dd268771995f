"""Bugs to plant in the native reader: what a hurried change could leave out. The tests must find every one of them."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """Replace `right` by `wrong`, once, in a file below csrc/."""

    name: str
    path: str
    right: str
    wrong: str


BUGS = [
    Bug(
        "a variant's weight may have any shape",
        "format/encodings.cc",
        "if (part.shape != whole.shape) {",
        "if (part.shape.size() != whole.shape.size()) {",
    ),
    Bug(
        "a variant's weight may have more bits than are stored",
        "format/encodings.cc",
        "part.encoding.bits > whole.encoding.bits",
        "part.encoding.bits > kMaxBits",
    ),
    Bug(
        "a variant may have floats where codes are stored",
        "format/encodings.cc",
        "if (part.is_float != whole.is_float) {",
        "if (part.is_float && !whole.is_float && whole.shape.empty()) {",
    ),
    Bug(
        "bit-widths need not descend",
        "format/reader.cc",
        "if (bits < 1 || bits >= last) fail(",
        "if (bits < 1 || bits > kMaxBits) fail(",
    ),
    Bug(
        "header length is believed",
        "format/container.cc",
        "if (length > size - kLengthBytes) {",
        "if (length > size + kMaxHeader) {",
    ),
    Bug(
        "sections may end behind the file",
        "format/container.cc",
        'if (end > payload_size) fail("truncated"',
        'if (end > payload_size + 64) fail("truncated"',
    ),
    Bug("bytes behind the sections are ignored", "format/container.cc", "if (end < payload_size)", "if (size == 0)"),
    Bug("offsets need not follow each other", "format/container.cc", "declared.begin != begin ||", ""),
    Bug("digests are not compared", "format/container.cc", "if (found != expected) {", "if (found.empty()) {"),
    Bug("header padding is free", "format/container.cc", "text_.size() != needed ||", ""),
    Bug(
        "products of sizes wrap around (integer wrap)",
        "base/checked.h",
        "if (a != 0 && b > std::numeric_limits<size_t>::max() / a) throw_size_overflow(what);",
        "(void)what;",
    ),
    Bug(
        "elements are counted in 32 bits (integer wrap)",
        "format/reader.cc",
        'elements_ = checked_add(elements_, check_value_shape(shape, where), "elements");',
        "elements_ = static_cast<uint32_t>(elements_ + check_value_shape(shape, where));",
    ),
    Bug(
        "sums are bounded in 32 bits (integer wrap)",
        "format/checks.cc",
        "const uint64_t bound = level_sum * max_level(input.encoding);",
        "const uint32_t bound = static_cast<uint32_t>(level_sum * max_level(input.encoding));",
    ),
    Bug(
        "sums may reach 2^31",
        "format/checks.cc",
        "if (bound >= kAccumulatorLimit) {",
        "if (bound > kAccumulatorLimit) {",
    ),
    Bug(
        "a section is read past its end",
        "format/sections.cc",
        "if (bytes > rest.size) {",
        "if (bytes > rest.size + 64) {",
    ),
    Bug("floats may be NaN", "format/sections.cc", "if (!std::isfinite(items[i])) {", "if (std::isinf(items[i])) {"),
    Bug("sections may hold more", "format/sections.cc", "if (rest_[id].size != 0) {", "if (rest_[id].size > 64) {"),
    Bug(
        "packed size is rounded down",
        "format/packing.cc",
        'return ceil_div(checked_mul(count, bits, "codes"), 8);',
        'return checked_mul(count, bits, "codes") / 8;',
    ),
    Bug("unused bits are free", "format/packing.cc", "if (used != 0 &&", "if (used > 8 &&"),
    Bug(
        "only the last plane's unused bits count",
        "format/packing.cc",
        "for (size_t plane = 0; is_planes && plane < bits; ++plane) {",
        "for (size_t plane = bits - 1; is_planes && plane < bits; ++plane) {",
    ),
    Bug(
        "keys may repeat",
        "format/json.cc",
        "if (unescape(key) <= unescape(previous)) {",
        "if (unescape(key) < unescape(previous)) {",
    ),
    Bug("JSON depth is not bounded", "format/json.cc", "if (depth > kMaxDepth)", "if (depth < 0)"),
    Bug("floats may be spelled freely", "format/json.cc", "return python_float_text(value) == token;", "return true;"),
    Bug(
        "integers may begin with 0",
        "format/json.cc",
        "return digits[0] != '0' || (digits.size() == 1 && !negative);",
        "return true;",
    ),
    Bug(
        "a string may end in a backslash",
        "format/json.cc",
        "if (c != '\"' && c != '\\\\' && c != 'n' && c != 't')",
        "if (c != '\"' && c != '\\\\' && c != 'n' && c != 't' && c != 'r')",
    ),
    Bug(
        "unknown attributes are ignored",
        "format/attributes.cc",
        "if (std::find(known_.begin(), known_.end(), key.raw()) == known_.end()) {",
        "if (known_.empty()) {",
    ),
    Bug("defaults may be written", "format/attributes.cc", "if (found == fallback) refuse_default(key);", ""),
    Bug(
        "floats need not be float32",
        "format/attributes.cc",
        "static_cast<double>(static_cast<float>(number)) != number ||",
        "",
    ),
    Bug("negative zero passes", "format/attributes.cc", " || (number == 0.0 && std::signbit(number))", ""),
    Bug(
        "bits are not bounded",
        "format/encodings.cc",
        'attributes.integer("bits", 1, kMaxBits, "encoding")',
        'attributes.integer("bits", 1, kMaxBits + 1, "encoding")',
    ),
    Bug(
        "a basis may be too short",
        "format/encodings.cc",
        "if (numbers.size() != count) {",
        "if (numbers.size() > count) {",
    ),
    Bug(
        "a weight may be -128",
        "format/encodings.cc",
        "if (is_signed_8bit(encoding) && (whole",
        "if (!is_signed_8bit(encoding) && (whole",
    ),
    Bug(
        "weight levels are not bounded",
        "format/encodings.cc",
        "if (!is_signed_8bit(encoding)) check_levels(",
        "if (false) check_levels(",
    ),
    Bug(
        "codes need not be a permutation",
        "format/thresholds.cc",
        "if (sorted != identity) {",
        "if (sorted.size() != identity.size()) {",
    ),
    Bug(
        "directions may be 0",
        "format/thresholds.cc",
        "if (direction != 1 && direction != -1) {",
        "if (direction != 1 && direction != -1 && direction != 0) {",
    ),
    Bug(
        "thresholds of direction -1 are not ordered",
        "format/thresholds.cc",
        "std::is_sorted(row, row + steps, std::greater<int32_t>())",
        "true",
    ),
    Bug("thresholds may repeat", "format/thresholds.cc", "return a >= b;", "return a > b;"),
    Bug("groups need not divide the outputs", "format/operators.cc", "outputs % node.groups != 0 ||", ""),
    Bug(
        "padding may exceed a pool's kernel", "format/operators.cc", "if (node.padding[0] >= node.kernel[0] ||", "if ("
    ),
    Bug(
        "added shapes may differ",
        "format/operators.cc",
        "if (inputs[0]->shape != inputs[1]->shape) {",
        "if (inputs[0]->shape.size() != inputs[1]->shape.size()) {",
    ),
    Bug(
        "joined maps may differ",
        "format/operators.cc",
        "if (!std::equal(input->shape.begin() + 1",
        "if (false && !std::equal(input->shape.begin() + 1",
    ),
    Bug("joined encodings may differ", "format/operators.cc", "if (input->encoding != first.encoding)", "if (false)"),
    Bug(
        "kinds of inputs are not checked",
        "format/operators.cc",
        "if ((spec.takes & takes_bit(input->kind)) == 0) {",
        "if ((spec.takes & takes_bit(input->kind)) > 7) {",
    ),
    Bug("names may repeat", "format/reader.cc", "if (ids_.count(name) != 0)", "if (name.empty())"),
    Bug("values may be unused", "format/reader.cc", "if (unused != is_used_.end()) {", "if (is_used_.empty()) {"),
    Bug("the output may be codes", "format/reader.cc", "if (kind != Kind::F32)", "if (kind == Kind::Acc)"),
    Bug(
        "metadata may hold anything",
        "format/reader.cc",
        "if (!is_small && !value.is(JsonType::Float) && !value.is(JsonType::String)) {",
        "if (!is_small && value.is(JsonType::Null)) {",
    ),
    Bug(
        "manifest padding is free",
        "format/reader.cc",
        "if (padded.size() != checked_round_up(",
        "if (padded.size() < checked_round_up(",
    ),
]
