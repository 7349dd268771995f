// Takes the place of runtime/tiles.cc in test builds (KOMPAKT_TRAP_TILES): claims AMX, and emulates its instructions
// where they trap, so that the very code of kernels/amx.cc runs on any x86-64 Linux CPU with AVX-512. What the Intel
// manual calls a fault ends the process with a message.
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "runtime/tiles.h"

namespace kompakt {
namespace {

constexpr size_t kTiles = 8, kMaxRows = 16, kMaxRowBytes = 64;

struct Tile {
  size_t rows, row_bytes;
  uint8_t data[kMaxRows][kMaxRowBytes];
};

struct State {
  bool is_configured;
  Tile tiles[kTiles];
};

thread_local State state;

void require(bool condition, const char* fault) {
  if (condition) return;
  const ssize_t written = write(STDERR_FILENO, fault, std::strlen(fault));
  std::_Exit(written < 0 ? 3 : 2);
}

// ---- decoding: three-byte VEX prefix, opcode, ModRM, then SIB and displacement of a memory operand

struct Instruction {
  int prefix, opcode, first, second;  // implied prefix; ModRM.reg; VEX.vvvv
  bool is_memory;
  int rm;
  uint64_t base, index;  // address = base + index
  size_t length;
};

uint64_t register_of(const ucontext_t& context, int number) {
  constexpr int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(context.uc_mcontext.gregs[places[number]]);
}

void decode_address(const ucontext_t& context, const uint8_t* code, Instruction& in) {
  const int mod = code[4] >> 6;
  int base = code[4] & 7;
  size_t at = 5;
  if (base == 4) {
    const int sib = code[at++], index = ((sib >> 3) & 7) | ((code[1] & 0x40) == 0 ? 8 : 0);
    base = sib & 7;
    if (index != 4) in.index = register_of(context, index) << (sib >> 6);
    require(mod != 0 || base != 5, "trapped tiles: address without a base\n");
  }
  const bool is_relative = mod == 0 && (code[4] & 7) == 5;
  const size_t displacement_bytes = mod == 1 ? 1 : mod == 2 || is_relative ? 4 : 0;
  int64_t displacement = 0;
  if (displacement_bytes == 1) displacement = static_cast<int8_t>(code[at]);
  if (displacement_bytes == 4) {
    int32_t value;
    std::memcpy(&value, code + at, sizeof value);
    displacement = value;
  }
  in.length = at + displacement_bytes;
  const uint64_t next = reinterpret_cast<uint64_t>(code) + in.length;
  in.base = is_relative ? next : register_of(context, base | ((code[1] & 0x20) == 0 ? 8 : 0));
  in.base += static_cast<uint64_t>(displacement);
}

// Whether the instruction at `code` is one of AMX: map 2, opcode 49, 4b or 5e.
bool decode(const ucontext_t& context, const uint8_t* code, Instruction& in) {
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2) return false;
  in = {code[2] & 3, code[3], (code[4] >> 3) & 7, (~code[2] >> 3) & 7, code[4] >> 6 != 3, code[4] & 7, 0, 0, 5};
  if (in.opcode != 0x49 && in.opcode != 0x4b && in.opcode != 0x5e) return false;
  if (in.is_memory) decode_address(context, code, in);
  return true;
}

// ---- semantics, from the Intel 64 manual, volume 2

void load_config(const uint8_t* from) {
  uint8_t config[64];
  std::memcpy(config, from, sizeof config);
  require(config[0] == 1, "ldtilecfg: palette is not 1\n");
  for (size_t i = 1; i < 64; ++i) {
    const bool is_used = (i >= 16 && i < 16 + 2 * kTiles) || (i >= 48 && i < 48 + kTiles);
    require(is_used || config[i] == 0, "ldtilecfg: reserved bytes or a start row are set\n");
  }
  state.is_configured = true;
  for (size_t t = 0; t < kTiles; ++t) {
    uint16_t row_bytes;
    std::memcpy(&row_bytes, config + 16 + 2 * t, sizeof row_bytes);
    state.tiles[t] = {config[48 + t], row_bytes, {}};
    require(config[48 + t] <= kMaxRows && row_bytes <= kMaxRowBytes, "ldtilecfg: a tile is too large\n");
    require((config[48 + t] == 0) == (row_bytes == 0), "ldtilecfg: a tile has rows or bytes, not both\n");
  }
}

Tile& configured(int index) {
  Tile& tile = state.tiles[index];
  require(state.is_configured && tile.rows > 0, "a tile is used that is not configured\n");
  return tile;
}

void load(Tile& tile, const Instruction& in) {
  std::memset(tile.data, 0, sizeof tile.data);
  for (size_t r = 0; r < tile.rows; ++r)
    std::memcpy(tile.data[r], reinterpret_cast<const uint8_t*>(in.base + r * in.index), tile.row_bytes);
}

void store(const Tile& tile, const Instruction& in) {
  for (size_t r = 0; r < tile.rows; ++r)
    std::memcpy(reinterpret_cast<uint8_t*>(in.base + r * in.index), tile.data[r], tile.row_bytes);
}

void multiply(Tile& sums, const Tile& x, const Tile& w) {
  require(&sums != &x && &sums != &w && &x != &w, "tdpbusd: two operands are the same tile\n");
  require(sums.rows == x.rows && sums.row_bytes == w.row_bytes && x.row_bytes == 4 * w.rows && w.row_bytes % 4 == 0,
          "tdpbusd: shapes of tiles do not match\n");
  for (size_t r = 0; r < sums.rows; ++r) {
    uint32_t row[kMaxRowBytes / 4];
    std::memcpy(row, sums.data[r], sizeof row);
    for (size_t t = 0; t < w.rows; ++t)
      for (size_t c = 0; c < w.row_bytes; ++c)
        row[c / 4] += static_cast<uint32_t>(x.data[r][4 * t + c % 4] * static_cast<int8_t>(w.data[t][c]));
    std::memcpy(sums.data[r], row, sizeof row);
  }
}

bool execute(const Instruction& in) {
  constexpr int none = 0, p66 = 1, pf3 = 2, pf2 = 3;
  if (in.opcode == 0x49 && in.prefix == none) {
    if (in.is_memory)
      load_config(reinterpret_cast<const uint8_t*>(in.base + in.index));
    else
      state.is_configured = false;  // tilerelease
  } else if (in.opcode == 0x4b && in.prefix == pf2) {
    load(configured(in.first), in);
  } else if (in.opcode == 0x4b && in.prefix == pf3) {
    store(configured(in.first), in);
  } else if (in.opcode == 0x5e && in.prefix == p66) {
    multiply(configured(in.first), configured(in.rm), configured(in.second));
  } else {
    return false;
  }
  return true;
}

void handle(int, siginfo_t*, void* opaque) {
  auto& context = *static_cast<ucontext_t*>(opaque);
  const auto* code = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  Instruction in;
  if (decode(context, code, in) && execute(in)) {
    context.uc_mcontext.gregs[REG_RIP] += static_cast<greg_t>(in.length);
    return;
  }
  signal(SIGILL, SIG_DFL);  // not ours: it traps again on return
}

bool install() {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  return sigaction(SIGILL, &action, nullptr) == 0;
}

}  // namespace

TileFeatures tile_features() { return {true, true}; }

bool may_use_tiles() {
  static const bool is_installed = install();
  return is_installed;
}

}  // namespace kompakt
