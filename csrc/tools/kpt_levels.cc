// kpt_levels STEM...: runs STEM.kpt on the inputs STEM.x on every level of this CPU, with every family of kernels and one
// and three threads, and compares with the outputs STEM.y, bit for bit (raw float32 in C order, little-endian). Prints
// the levels and the kernels that ran.
// Exit status: 0 equal, 1 different, 2 wrong use or error.
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/checked.h"
#include "format/reader.h"
#include "runtime/engine.h"

namespace {

using Bytes = std::vector<uint8_t>;

Bytes read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": cannot open");
  return Bytes(std::istreambuf_iterator<char>(stream), {});
}

std::vector<float> read_floats(const std::string& path) {
  const Bytes bytes = read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Settings under which outputs differ; adds the kernels that ran to `used`.
size_t count_wrong(const std::string& stem, std::set<std::string>& used) {
  const Bytes file = read_file(stem + ".kpt");
  const std::vector<float> x = read_floats(stem + ".x"), expected = read_floats(stem + ".y");
  size_t wrong = 0;
  for (const std::string& isa : kompakt::isa_levels())
    for (const char* family : {"", "dot_u8s8", "dot_s16", "winograd_u8s8", "winograd_s16", "depthwise_u8s8", "gemv", "planes"})
      for (const size_t threads : {size_t{1}, size_t{3}}) {
        const kompakt::Engine engine(kompakt::read_program(file.data(), file.size()), {threads, isa, family});
        for (const kompakt::KernelReport& report : engine.kernels()) used.insert(report.kernel);
        const size_t count = x.size() / kompakt::checked_product(engine.input_shape(), "input");
        std::vector<float> y(count * kompakt::checked_product(engine.output_shape(), "output"));
        engine.run(x.data(), count, y.data());
        if (y.size() == expected.size() && std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0)
          continue;
        std::printf("wrong: %s, level %s, family '%s', %zu threads\n", stem.c_str(), isa.c_str(), family, threads);
        ++wrong;
      }
  return wrong;
}

void print_words(const char* title, const std::vector<std::string>& words) {
  std::printf("%s:", title);
  for (const std::string& word : words) std::printf(" %s", word.c_str());
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: kpt_levels STEM...\n");
    return 2;
  }
  try {
    std::set<std::string> used;
    size_t wrong = 0;
    for (int i = 1; i < argc; ++i) wrong += count_wrong(argv[i], used);
    print_words("levels", kompakt::isa_levels());
    print_words("kernels", {used.begin(), used.end()});
    return wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
