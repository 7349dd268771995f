// Strict reader of canonical JSON (docs/format.md, "Manifest"): ASCII, no white space, sorted unique keys, integers and
// floats in the one form that Python writes. Text that json.dumps(value, sort_keys=True, separators=(",", ":")) would
// not have written is refused, so that a document has exactly one form.
//
// Memory: 16 bytes per value, in a vector that grows, on top of the text: at most 24 times the text where every value
// is one digit, less than the text in a usual manifest. Depth is capped at 16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kompakt {

enum class JsonType : uint32_t { Null, Bool, Integer, Float, String, Array, Object };

const char* json_type_name(JsonType type);

class JsonDocument;

// One value of a document; a view that lives as long as the document and its text.
class JsonValue {
 public:
  JsonValue(const JsonDocument* document, uint32_t index) : document_(document), index_(index) {}

  JsonType type() const;
  bool is(JsonType wanted) const { return type() == wanted; }

  // The value as written, strings without their quotes and with their escapes.
  std::string_view raw() const;

  // Integer: the value, saturated to the ends of int64 where it does not fit.
  int64_t as_integer() const;
  // Float: the nearest double; always finite.
  double as_float() const;
  // String: the content with escapes resolved.
  std::string as_string() const;

  // Array: elements. Object: keys; `member()` of a key is its value.
  class Iterator;
  Iterator begin() const;
  Iterator end() const;
  JsonValue member() const { return JsonValue(document_, index_ + 1); }

  // Number of elements or members; walks over them.
  size_t size() const;

 private:
  uint32_t after() const;

  const JsonDocument* document_;
  uint32_t index_;
};

class JsonValue::Iterator {
 public:
  Iterator(JsonValue at, bool keyed) : at_(at), keyed_(keyed) {}

  JsonValue operator*() const { return at_; }
  Iterator& operator++();
  bool operator!=(const Iterator& other) const { return at_.index_ != other.at_.index_; }

 private:
  JsonValue at_;
  bool keyed_;
};

class JsonDocument {
 public:
  // Parses the whole of `text`, which must outlive the document and be shorter than 4 GiB.
  // Throws ArtifactError("manifest") with the byte position of the first defect.
  explicit JsonDocument(std::string_view text);

  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  JsonValue root() const { return JsonValue(this, 0); }

 private:
  friend class JsonValue;
  friend class JsonParser;

  // Children of a value follow it; `after` is the index behind its last descendant.
  struct Item {
    JsonType type;
    uint32_t begin;
    uint32_t end;
    uint32_t after;
  };

  std::string_view text_;
  std::vector<Item> items_;
};

// The shortest text that reads back as `value` (finite), in the form of Python's repr.
std::string python_float_text(double value);

}  // namespace kompakt
