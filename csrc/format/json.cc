#include "format/json.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "format/message.h"

namespace kompakt {
namespace {

constexpr int kMaxDepth = 16;

// Content of a string whose escapes the parser has checked.
std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out.push_back(raw[i]);
      continue;
    }
    const char escape = raw[++i];
    out.push_back(escape == 'n' ? '\n' : escape == 't' ? '\t' : escape);
  }
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// -?(0|[1-9][0-9]*), but not -0.
bool is_canonical_integer(std::string_view token) {
  const bool negative = !token.empty() && token[0] == '-';
  const std::string_view digits = token.substr(negative ? 1 : 0);
  if (digits.empty()) return false;
  for (const char c : digits) {
    if (!is_digit(c)) return false;
  }
  return digits[0] != '0' || (digits.size() == 1 && !negative);
}

bool is_canonical_float(std::string_view token) {
  // 24 characters are the longest repr of a double.
  if (token.size() > 24) return false;
  double value = 0.0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc() || end != token.data() + token.size() || !std::isfinite(value)) return false;
  return python_float_text(value) == token;
}

}  // namespace

const char* json_type_name(JsonType type) {
  switch (type) {
    case JsonType::Null: return "null";
    case JsonType::Bool: return "a boolean";
    case JsonType::Integer: return "an integer";
    case JsonType::Float: return "a float";
    case JsonType::String: return "a string";
    case JsonType::Array: return "an array";
    case JsonType::Object: return "an object";
  }
  return "nothing";
}

std::string python_float_text(double value) {
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string_view shortest(buffer, static_cast<size_t>(written.ptr - buffer));  // [-]d[.ddd]e[+-]xx

  std::string out;
  if (shortest[0] == '-') {
    out = "-";
    shortest.remove_prefix(1);
  }
  const size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  int exponent = 0;
  const size_t sign = shortest[e + 1] == '+' ? 1 : 0;
  std::from_chars(shortest.data() + e + 1 + sign, shortest.data() + shortest.size(), exponent);

  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    return out + std::string(shortest.substr(e));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

// Recursive descent; writes the items of the document in text order.
class JsonParser {
 public:
  explicit JsonParser(JsonDocument& document) : text_(document.text_), items_(document.items_) {}

  void parse() {
    value(0);
    if (at_ != text_.size()) defect("expected the end of the text");
  }

 private:
  [[noreturn]] void defect(const char* what) const {
    fail("manifest", "manifest: not canonical JSON at byte ", at_, ": ", what, ", found ",
         at_ < text_.size() ? quoted(text_.substr(at_, 12)) : std::string("the end"));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void expect(char c, const char* what) {
    if (peek() != c) defect(what);
    ++at_;
  }

  size_t open(JsonType type) {
    items_.push_back({type, static_cast<uint32_t>(at_), 0, 0});
    return items_.size() - 1;
  }

  void close(size_t item) {
    items_[item].end = static_cast<uint32_t>(at_);
    items_[item].after = static_cast<uint32_t>(items_.size());
  }

  void value(int depth) {
    if (depth > kMaxDepth) defect("nested deeper than 16 levels");
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 'n': return word("null", JsonType::Null);
      case 't': return word("true", JsonType::Bool);
      case 'f': return word("false", JsonType::Bool);
      default: return number();
    }
  }

  void word(std::string_view expected, JsonType type) {
    if (text_.substr(at_, expected.size()) != expected) defect("expected a value");
    const size_t item = open(type);
    at_ += expected.size();
    close(item);
  }

  void number() {
    const size_t item = open(JsonType::Integer);
    const size_t begin = at_;
    bool is_float = false;
    for (char c = peek(); is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e'; c = peek()) {
      is_float |= c == '.' || c == 'e';
      ++at_;
    }
    const std::string_view token = text_.substr(begin, at_ - begin);
    if (!(is_float ? is_canonical_float(token) : is_canonical_integer(token))) {
      at_ = begin;
      defect("expected a value, numbers in the shortest form that Python writes");
    }
    items_[item].type = is_float ? JsonType::Float : JsonType::Integer;
    close(item);
  }

  void string() {
    ++at_;
    const size_t item = open(JsonType::String);
    for (; peek() != '"'; ++at_) {
      if (peek() < ' ' || peek() > '~') defect("expected printable ASCII and a closing quote");
      if (peek() != '\\') continue;
      ++at_;
      const char c = peek();
      if (c != '"' && c != '\\' && c != 'n' && c != 't') defect("expected one of the escapes \\\" \\\\ \\n \\t");
    }
    close(item);
    ++at_;
  }

  void array(int depth) {
    const size_t item = open(JsonType::Array);
    ++at_;
    if (peek() != ']') {
      value(depth + 1);
      while (peek() == ',') {
        ++at_;
        value(depth + 1);
      }
    }
    expect(']', "expected ',' or ']'");
    close(item);
  }

  void object(int depth) {
    const size_t item = open(JsonType::Object);
    ++at_;
    if (peek() != '}') {
      std::string_view previous = member(depth);
      while (peek() == ',') {
        ++at_;
        const size_t begin = at_;
        const std::string_view key = member(depth);
        if (unescape(key) <= unescape(previous)) {
          at_ = begin;
          defect("expected sorted keys without repetition");
        }
        previous = key;
      }
    }
    expect('}', "expected ',' or '}'");
    close(item);
  }

  // "key":value; returns the raw key.
  std::string_view member(int depth) {
    if (peek() != '"') defect("expected a key");
    const size_t key = items_.size();
    string();
    expect(':', "expected ':'");
    value(depth + 1);
    return text_.substr(items_[key].begin, items_[key].end - items_[key].begin);
  }

  std::string_view text_;
  std::vector<JsonDocument::Item>& items_;
  size_t at_ = 0;
};

JsonDocument::JsonDocument(std::string_view text) : text_(text) { JsonParser(*this).parse(); }

JsonType JsonValue::type() const { return document_->items_[index_].type; }

std::string_view JsonValue::raw() const {
  const auto& item = document_->items_[index_];
  return document_->text_.substr(item.begin, item.end - item.begin);
}

int64_t JsonValue::as_integer() const {
  const std::string_view token = raw();
  int64_t value = 0;
  const auto result = std::from_chars(token.data(), token.data() + token.size(), value);
  if (result.ec == std::errc()) return value;
  return token[0] == '-' ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

double JsonValue::as_float() const {
  const std::string_view token = raw();
  double value = 0.0;
  std::from_chars(token.data(), token.data() + token.size(), value);
  return value;
}

std::string JsonValue::as_string() const { return unescape(raw()); }

uint32_t JsonValue::after() const { return document_->items_[index_].after; }

JsonValue::Iterator JsonValue::begin() const {
  return Iterator(JsonValue(document_, index_ + 1), is(JsonType::Object));
}

JsonValue::Iterator JsonValue::end() const { return Iterator(JsonValue(document_, after()), is(JsonType::Object)); }

size_t JsonValue::size() const {
  size_t count = 0;
  for (auto it = begin(); it != end(); ++it) ++count;
  return count;
}

JsonValue::Iterator& JsonValue::Iterator::operator++() {
  at_ = JsonValue(at_.document_, keyed_ ? at_.member().after() : at_.after());
  return *this;
}

}  // namespace kompakt
