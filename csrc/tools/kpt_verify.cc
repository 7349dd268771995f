// kpt_verify FILE...: one line per file in the order of the arguments, "OK" or "kind: message".
// kpt_verify -: the same for records on standard input, each a little-endian u64 length and that many bytes; for
// fuzzing without a process or a file per case.
//
// Exit status: 0 if everything is legal, 1 if something is refused, 2 if something cannot be read.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/reader.h"

namespace {

enum Status { kLegal = 0, kRefused = 1, kUnreadable = 2 };

Status verify(const std::vector<char>& content) {
  try {
    kompakt::read_program(reinterpret_cast<const uint8_t*>(content.data()), content.size());
    std::cout << "OK\n" << std::flush;
    return kLegal;
  } catch (const kompakt::ArtifactError& error) {
    std::cout << error.kind() << ": " << error.what() << "\n" << std::flush;
    return kRefused;
  }
}

Status unreadable(const std::string& what) {
  std::cout << "unreadable: " << what << "\n" << std::flush;
  return kUnreadable;
}

Status verify_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return file.is_open() && !file.bad() ? verify(content) : unreadable(path);
}

Status verify_records(std::istream& stream) {
  Status worst = kLegal;
  char head[8];
  while (stream.read(head, sizeof(head))) {
    uint64_t length = 0;
    std::memcpy(&length, head, sizeof(head));
    // Exactly as large as the record, so that a sanitizer sees every read past its end.
    std::vector<char> content(length);
    if (!stream.read(content.data(), static_cast<std::streamsize>(length))) return unreadable("record ends early");
    worst = std::max(worst, verify(content));
  }
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "-") == 0) return verify_records(std::cin);
  Status worst = argc > 1 ? kLegal : unreadable("no file is named; usage: kpt_verify FILE... | kpt_verify -");
  for (int i = 1; i < argc; ++i) worst = std::max(worst, verify_file(argv[i]));
  return worst;
}
