// kpt_stress MODEL THREADS CALLERS CALLS: runs one engine from several callers at once and compares every output with
// a serial one, bit for bit. Built with the thread sanitizer it shows data races without Python's own in the way.
// Exit status: 0 equal, 1 different, 2 wrong use or error.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/checked.h"
#include "format/reader.h"
#include "runtime/engine.h"

namespace {

constexpr size_t kBatch = 7;

using Bytes = std::vector<uint8_t>;

Bytes read_file(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(std::string(path) + ": cannot open");
  return Bytes(std::istreambuf_iterator<char>(stream), {});
}

struct Stress {
  Bytes file;
  size_t threads, input, output;
  std::vector<float> x, expected;

  Stress(const char* path, size_t thread_count) : file(read_file(path)), threads(thread_count) {
    const kompakt::Engine serial(kompakt::read_program(file.data(), file.size()), {1, "", ""});
    input = kompakt::checked_product(serial.input_shape(), "input");
    output = kompakt::checked_product(serial.output_shape(), "output");
    for (size_t i = 0; i < kBatch * input; ++i)
      x.push_back(static_cast<float>(3 * std::sin(0.7 * static_cast<double>(i))));
    expected.resize(kBatch * output);
    serial.run(x.data(), kBatch, expected.data());
  }

  // One call with a batch that depends on `index`; whether the output is right.
  bool call(const kompakt::Engine& engine, size_t index) const {
    const size_t first = index % kBatch, count = 1 + index / kBatch % (kBatch - first);
    std::vector<float> y(count * output);
    engine.run(x.data() + first * input, count, y.data());
    return std::memcmp(y.data(), expected.data() + first * output, y.size() * sizeof(float)) == 0;
  }

  size_t count_wrong(size_t callers, size_t calls) const {
    const kompakt::Engine shared(kompakt::read_program(file.data(), file.size()), {threads, "", ""});
    std::atomic<size_t> wrong{0};
    std::vector<std::thread> running;
    for (size_t caller = 0; caller < callers; ++caller)
      running.emplace_back([&, caller] {
        for (size_t i = 0; i < calls; ++i) wrong += call(shared, caller + i * callers) ? 0 : 1;
      });
    // Engines come and go meanwhile.
    for (size_t i = 0; i < 1 + calls / 50; ++i) {
      const kompakt::Engine other(kompakt::read_program(file.data(), file.size()), {threads, "", ""});
      wrong += call(other, i) ? 0 : 1;
    }
    for (std::thread& thread : running) thread.join();
    return wrong;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: kpt_stress MODEL THREADS CALLERS CALLS\n");
    return 2;
  }
  try {
    const Stress stress(argv[1], std::strtoul(argv[2], nullptr, 10));
    const size_t wrong = stress.count_wrong(std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10));
    std::printf("%zu wrong outputs\n", wrong);
    return wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
