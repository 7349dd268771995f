#include "format/container.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "base/checked.h"
#include "format/message.h"
#include "format/sha256.h"

namespace kompakt {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kAlignment = 64;
constexpr size_t kMaxHeader = 4096;
constexpr size_t kMaxManifest = size_t{16} << 20;
constexpr uint64_t kMaxFile = uint64_t{1} << 40;

struct SectionSpec {
  const char* name;
  const char* dtype;
  size_t item_bytes;
};

constexpr std::array<SectionSpec, kSectionCount> kSections = {{
    {"manifest", "U8", 1},
    {"codes", "U8", 1},
    {"bases", "I8", 1},
    {"floats", "F32", 4},
    {"thresholds", "I32", 4},
    {"directions", "I8", 1},
}};

// What the header declares about one section; not compared with anything yet.
struct Declared {
  std::string_view dtype;
  uint64_t count = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Header {
  std::string_view format;
  std::string_view version;
  std::string_view manifest_digest;
  std::array<Declared, kSectionCount> sections;
};

// Reads the header left to right against the one text that it can be; allocates nothing.
class HeaderScanner {
 public:
  explicit HeaderScanner(std::string_view text) : text_(text) {}

  Header scan() {
    Header header;
    expect("{\"__metadata__\":{\"format\":\"");
    header.format = string_rest();
    expect(",\"version\":\"");
    header.version = string_rest();
    expect(",\"sha256\":\"");
    header.manifest_digest = string_rest();
    expect("}");
    for (size_t i = 0; i < kSectionCount; ++i) header.sections[i] = section(kSections[i].name);
    expect("}");
    padding();
    return header;
  }

 private:
  [[noreturn]] void defect(std::string_view expected) const {
    fail("header", "header: expected ", quoted(expected), " at byte ", at_, ", found ",
         quoted(text_.substr(at_, 24)));
  }

  void expect(std::string_view literal) {
    if (text_.substr(at_, literal.size()) != literal) defect(literal);
    at_ += literal.size();
  }

  // Content up to the closing quote, which is consumed too.
  std::string_view string_rest() {
    const size_t end = std::min(text_.find_first_of("\"\\", at_), text_.size());
    const std::string_view content = text_.substr(at_, end - at_);
    at_ = end;
    expect("\"");
    return content;
  }

  // Canonical unsigned integer, saturated where it exceeds uint64.
  uint64_t number() {
    const size_t end = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    const std::string_view digits = text_.substr(at_, end - at_);
    if (digits.empty()) {
      fail("section", "header: expected a count at byte ", at_, ", found ", quoted(text_.substr(at_, 24)));
    }
    if (digits[0] == '0' && digits.size() > 1) defect("a count without leading zeros");
    at_ = end;
    uint64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return result.ec == std::errc() ? value : std::numeric_limits<uint64_t>::max();
  }

  Declared section(std::string_view name) {
    Declared declared;
    expect(",\"");
    const std::string_view found = string_rest();
    if (found != name) fail("section", "header: expected section ", quoted(name), ", found ", quoted(found));
    expect(":{\"dtype\":\"");
    declared.dtype = string_rest();
    expect(",\"shape\":[");
    declared.count = number();
    expect("],\"data_offsets\":[");
    declared.begin = number();
    expect(",");
    declared.end = number();
    expect("]}");
    return declared;
  }

  void padding() const {
    const size_t needed = checked_round_up(kLengthBytes + at_, kAlignment, "header") - kLengthBytes;
    const std::string_view rest = text_.substr(at_);
    if (text_.size() != needed || rest.find_first_not_of(' ') != std::string_view::npos) {
      fail("header", "header: expected ", needed - at_, " spaces after byte ", at_, ", so that 8 + header length is a ",
           "multiple of 64, found ", rest.size(), " bytes");
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string_view header_text(const uint8_t* data, size_t size) {
  if (size > kMaxFile) fail("size", "file: expected at most 2^40 bytes, found ", size);
  if (size < kLengthBytes) fail("truncated", "file: expected 8 bytes of header length, found ", size, " bytes in all");
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{data[i]} << (8 * i);
  if (length > kMaxHeader) {
    fail("size", "header: expected a length of at most ", kMaxHeader, ", found ", length, "; not a .kpt file?");
  }
  if (length > size - kLengthBytes) {
    fail("truncated", "header: expected ", length, " bytes after the length, found ", size - kLengthBytes);
  }
  return {reinterpret_cast<const char*>(data + kLengthBytes), static_cast<size_t>(length)};
}

void check_section(const SectionSpec& spec, const Declared& declared, uint64_t begin) {
  if (declared.dtype != spec.dtype) {
    fail("section", spec.name, ": expected dtype ", spec.dtype, ", found ", quoted(declared.dtype));
  }
  if (declared.begin != begin || declared.end < begin) {
    fail("section", spec.name, ": expected data_offsets that begin at ", begin, ", where the section before it ends, found [",
         declared.begin, ", ", declared.end, "]");
  }
  const uint64_t bytes = declared.end - begin;
  if (bytes % spec.item_bytes != 0 || bytes / spec.item_bytes != declared.count) {
    fail("section", spec.name, ": expected a shape that fills its ", bytes, " bytes, found [", declared.count,
         "] items of ", spec.item_bytes, " bytes");
  }
}

}  // namespace

const char* section_name(SectionId id) { return kSections[id].name; }

size_t section_item_bytes(SectionId id) { return kSections[id].item_bytes; }

void check_digest(SectionId id, Bytes section, std::string_view expected) {
  const std::string found = sha256_hex(section.data, section.size);
  if (found != expected) {
    fail("digest", section_name(id), ": expected SHA-256 ", quoted(expected), ", found ", found, "; the file is damaged");
  }
}

Container read_container(const uint8_t* data, size_t size) {
  const std::string_view text = header_text(data, size);
  const Header header = HeaderScanner(text).scan();
  if (header.format != "kompakt" || header.version != "1") {
    fail("version", "header: expected format 'kompakt' version '1', found format ", quoted(header.format), " version ",
         quoted(header.version));
  }

  uint64_t end = 0;
  for (size_t i = 0; i < kSectionCount; ++i) {
    check_section(kSections[i], header.sections[i], end);
    end = header.sections[i].end;
  }
  const size_t payload_begin = kLengthBytes + text.size();
  const size_t payload_size = size - payload_begin;
  if (header.sections[kManifest].end > kMaxManifest) {
    fail("size", "manifest: expected at most 16 MiB, found ", header.sections[kManifest].end, " bytes");
  }
  if (end > payload_size) fail("truncated", "file: expected ", end, " bytes after the header, found ", payload_size);
  if (end < payload_size) fail("size", "file: expected ", end, " bytes after the header, found ", payload_size);

  Container container;
  for (size_t i = 0; i < kSectionCount; ++i) {
    const auto begin = static_cast<size_t>(header.sections[i].begin);
    container.sections[i] = {data + payload_begin + begin, static_cast<size_t>(header.sections[i].end) - begin};
  }
  check_digest(kManifest, container.sections[kManifest], header.manifest_digest);
  return container;
}

}  // namespace kompakt
