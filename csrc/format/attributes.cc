#include "format/attributes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "format/message.h"

namespace kompakt {

Attributes::Attributes(JsonValue object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is(JsonType::Object)) fail("node", where_, ": expected an object, found ", json_type_name(object.type()));
}

void Attributes::mistyped(JsonValue value, std::string_view key, const char* expected) const {
  fail("node", where_, ": ", key, ": expected ", expected, ", found ", json_type_name(value.type()));
}

void Attributes::refuse_default(std::string_view key) const {
  fail("node", where_, ": ", key, ": expected no attribute where it has its default value; leave it out");
}

std::optional<JsonValue> Attributes::find(std::string_view key) {
  known_.push_back(key);
  for (const JsonValue found : object_) {
    if (found.raw() == key) return found.member();
  }
  return std::nullopt;
}

JsonValue Attributes::require(std::string_view key, JsonType type) {
  const std::optional<JsonValue> value = find(key);
  if (!value) fail("node", where_, ": expected the attribute ", quoted(key), ", found none");
  if (!value->is(type)) mistyped(*value, key, json_type_name(type));
  return *value;
}

Attributes Attributes::object(std::string_view key) {
  return Attributes(require(key, JsonType::Object), text_of(where_, ": ", key));
}

int64_t Attributes::checked_integer(JsonValue value, std::string_view key, int64_t low, int64_t high,
                                    const char* kind) const {
  if (!value.is(JsonType::Integer)) mistyped(value, key, "an integer");
  const int64_t number = value.as_integer();
  if (number < low || number > high) {
    fail(kind, where_, ": ", key, ": expected an integer in ", low, "..", high, ", found ", value.raw().substr(0, 24));
  }
  return number;
}

int64_t Attributes::integer(std::string_view key, int64_t low, int64_t high, const char* kind) {
  return checked_integer(require(key, JsonType::Integer), key, low, high, kind);
}

int64_t Attributes::integer_or(std::string_view key, int64_t fallback, int64_t low, int64_t high, const char* kind) {
  const std::optional<JsonValue> value = find(key);
  if (!value) return fallback;
  const int64_t number = checked_integer(*value, key, low, high, kind);
  if (number == fallback) refuse_default(key);
  return number;
}

std::vector<int64_t> Attributes::integers(std::string_view key, int64_t low, int64_t high, const char* kind) {
  std::vector<int64_t> numbers;
  for (const JsonValue item : require(key, JsonType::Array)) {
    numbers.push_back(checked_integer(item, key, low, high, kind));
  }
  return numbers;
}

Attributes::Pair Attributes::pair(std::string_view key, size_t low, size_t high) {
  const auto numbers = integers(key, static_cast<int64_t>(low), static_cast<int64_t>(high), "shape");
  if (numbers.size() != 2) {
    fail("node", where_, ": ", key, ": expected [height, width], found ", numbers.size(), " numbers");
  }
  return {static_cast<size_t>(numbers[0]), static_cast<size_t>(numbers[1])};
}

Attributes::Pair Attributes::pair_or(std::string_view key, Pair fallback, size_t low, size_t high) {
  if (!find(key)) return fallback;
  const Pair found = pair(key, low, high);
  if (found == fallback) refuse_default(key);
  return found;
}

float Attributes::checked_float32(JsonValue value, std::string_view key) const {
  if (!value.is(JsonType::Float)) mistyped(value, key, "a float");
  const double number = value.as_float();
  const bool fits = std::fabs(number) <= static_cast<double>(std::numeric_limits<float>::max());
  if (!fits || static_cast<double>(static_cast<float>(number)) != number || (number == 0.0 && std::signbit(number))) {
    fail("value", where_, ": ", key, ": expected a finite float32 and not -0.0, found ", value.raw());
  }
  return static_cast<float>(number);
}

float Attributes::float32(std::string_view key) { return checked_float32(require(key, JsonType::Float), key); }

std::optional<float> Attributes::optional_float32(std::string_view key) {
  const std::optional<JsonValue> value = find(key);
  if (!value) return std::nullopt;
  return checked_float32(*value, key);
}

std::vector<float> Attributes::float32s(std::string_view key) {
  std::vector<float> numbers;
  for (const JsonValue item : require(key, JsonType::Array)) numbers.push_back(checked_float32(item, key));
  return numbers;
}

bool Attributes::flag(std::string_view key) {
  const std::optional<JsonValue> value = find(key);
  if (!value) return false;
  if (!value->is(JsonType::Bool)) mistyped(*value, key, "a boolean");
  if (value->raw() == "false") refuse_default(key);
  return true;
}

std::string_view Attributes::choice(std::string_view key, std::string_view fallback, std::string_view other) {
  const std::optional<JsonValue> value = find(key);
  if (!value) return fallback;
  if (!value->is(JsonType::String)) mistyped(*value, key, "a string");
  if (value->raw() == fallback) refuse_default(key);
  if (value->raw() != other) {
    fail("encoding", where_, ": ", key, ": expected ", quoted(fallback), " (by default) or ", quoted(other), ", found ",
         quoted(value->raw()));
  }
  return other;
}

void Attributes::finish() const {
  for (const JsonValue key : object_) {
    if (std::find(known_.begin(), known_.end(), key.raw()) == known_.end()) {
      fail("node", where_, ": expected no attribute ", quoted(key.raw()));
    }
  }
}

}  // namespace kompakt
