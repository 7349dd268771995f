#include "runtime/tiles.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "runtime/cpuid.h"

namespace kompakt {
namespace {

#if defined(__linux__)
// Tile state is large, so Linux saves it only for processes that ask. From asm/prctl.h, which may be older.
constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr long kTileData = 18;               // XFEATURE_XTILEDATA

bool ask() { return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0; }
#else
bool ask() { return false; }
#endif

}  // namespace

TileFeatures tile_features() {
  constexpr uint64_t tile_state = uint64_t{3} << 17;  // XTILECFG, XTILEDATA
  const unsigned bits = cpuid(7).edx;
  const bool is_saved = (saved_state() & tile_state) == tile_state;
  return {is_saved && (bits >> 24 & 1) != 0, is_saved && (bits >> 25 & 1) != 0};
}

bool may_use_tiles() {
  static const bool is_granted = ask();
  return is_granted;
}

}  // namespace kompakt
