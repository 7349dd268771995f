// Typed access to one JSON object of the manifest: a node, an encoding or a weight.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"

namespace kompakt {

// Every getter marks its key as known; `finish` refuses all others. A missing or mistyped attribute, or one that is
// written although it has its default value, is refused with kind "node"; ranges with the kind that is stated.
class Attributes {
 public:
  using Pair = std::array<size_t, 2>;  // (height, width)

  // `where` begins every message. Throws ArtifactError("node") unless `object` is an object.
  Attributes(JsonValue object, std::string where);

  const std::string& where() const { return where_; }
  void set_where(std::string where) { where_ = std::move(where); }

  std::optional<JsonValue> find(std::string_view key);
  JsonValue require(std::string_view key, JsonType type);

  std::string string(std::string_view key) { return require(key, JsonType::String).as_string(); }
  Attributes object(std::string_view key);

  int64_t integer(std::string_view key, int64_t low, int64_t high, const char* kind);
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t low, int64_t high, const char* kind);
  std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high, const char* kind);

  // [height, width], each in low..high ("shape").
  Pair pair(std::string_view key, size_t low, size_t high);
  Pair pair_or(std::string_view key, Pair fallback, size_t low, size_t high);

  // Exactly a finite float32, not -0.0 ("value").
  float float32(std::string_view key);
  std::optional<float> optional_float32(std::string_view key);
  std::vector<float> float32s(std::string_view key);

  // False where absent; only `true` may be written.
  bool flag(std::string_view key);
  // `fallback` where absent; only `other` may be written (anything else: "encoding").
  std::string_view choice(std::string_view key, std::string_view fallback, std::string_view other);

  [[noreturn]] void refuse_default(std::string_view key) const;

  // Throws ArtifactError("node") naming a key that no getter asked for.
  void finish() const;

 private:
  int64_t checked_integer(JsonValue value, std::string_view key, int64_t low, int64_t high, const char* kind) const;
  float checked_float32(JsonValue value, std::string_view key) const;
  [[noreturn]] void mistyped(JsonValue value, std::string_view key, const char* expected) const;

  JsonValue object_;
  std::string where_;
  std::vector<std::string_view> known_;
};

}  // namespace kompakt
