// Error messages: always printable ASCII, however hostile the bytes they quote.
#pragma once

#include <locale>
#include <sstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kompakt {

// All parts written one after the other.
template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  (stream << ... << parts);
  return stream.str();
}

template <class... Parts>
[[noreturn]] void fail(const char* kind, const Parts&... parts) {
  throw ArtifactError(kind, text_of(parts...));
}

// 'content' in quotes, cut after 64 characters, everything but printable ASCII replaced by '?'.
inline std::string quoted(std::string_view content) {
  constexpr size_t kLongest = 64;
  std::string out = "'";
  for (const char c : content.substr(0, kLongest)) out.push_back(c >= ' ' && c <= '~' ? c : '?');
  return out + (content.size() > kLongest ? "...'" : "'");
}

// (3, 32, 32)
template <class Range>
std::string shape_text(const Range& extents) {
  std::string out = "(";
  for (const auto extent : extents) out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
  return out + ")";
}

}  // namespace kompakt
