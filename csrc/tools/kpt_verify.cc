// kpt_verify FILE...: one line per file, "OK" or "kind: message", in the order of the arguments.
// kpt_verify -: reads paths from standard input, one per line; for fuzzing without a process per file.
// Exit status: 0 if every file is legal, 1 if one is refused, 2 if one cannot be read.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/reader.h"

namespace {

enum Status { kLegal = 0, kRefused = 1, kUnreadable = 2 };

Status verify(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) {
    std::cout << "unreadable: " << path << std::endl;
    return kUnreadable;
  }
  try {
    kompakt::read_program(reinterpret_cast<const uint8_t*>(content.data()), content.size());
    std::cout << "OK" << std::endl;
    return kLegal;
  } catch (const kompakt::ArtifactError& error) {
    std::cout << error.kind() << ": " << error.what() << std::endl;
    return kRefused;
  }
}

}  // namespace

int main(int argc, char** argv) {
  Status worst = kLegal;
  const auto visit = [&worst](const std::string& path) { worst = std::max(worst, verify(path)); };
  if (argc == 2 && std::string(argv[1]) == "-") {
    for (std::string path; std::getline(std::cin, path);) visit(path);
  } else {
    for (int i = 1; i < argc; ++i) visit(argv[i]);
  }
  return worst;
}
