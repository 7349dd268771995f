// A library to preload (LD_PRELOAD) into a benchmark process: answers CPUID as a lesser processor would, so that every
// engine in the process, whatever its own switches, chooses its kernels for that processor.
//
// The kernel is asked to let CPUID fault (arch_prctl ARCH_CPUID; processors from Ivy Bridge and Zen 4 on, where the
// kernel and, in a virtual machine, the host support it). The fault arrives as SIGSEGV on an instruction 0F A2; the
// handler executes the real one, clears the bits of what is hidden, and steps over it. The setting belongs to a thread
// and is inherited by threads that it starts; a child process gets it from its own preloading.
//
// Elsewhere libraries are loaded from copies in which 0F 04, which no processor executes, stands for CPUID
// (kompakt/bench/_trap.py); it arrives as SIGILL and is answered alike.
//
// KOMPAKT_HIDE = amx    no tiles
//                avx512 no tiles, no AVX-512, no AVX10, no AVX-VNNI: AVX2 remains
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

constexpr int kArchSetCpuid = 0x1012;
constexpr uint32_t kFeatures = 7, kStates = 0xd, kTiles = 0x1d, kTileMultiply = 0x1e, kAvx10 = 0x24;

struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

// Bits to clear in the answer to one leaf.
struct Mask {
  uint32_t leaf, subleaf;
  Registers clear;
};

constexpr uint32_t bits() { return 0; }
template <typename... Rest>
constexpr uint32_t bits(uint32_t first, Rest... rest) {
  return UINT32_C(1) << first | bits(rest...);
}

// Positions as in the Intel Software Developer's Manual, volume 2, CPUID.
constexpr Mask kAmx[] = {
    {kFeatures, 0, {0, 0, 0, bits(22u, 24u, 25u)}},    // AMX-BF16, AMX-TILE, AMX-INT8
    {kFeatures, 1, {bits(21u), 0, 0, bits(8u)}},       // AMX-FP16, AMX-COMPLEX
    {kStates, 0, {bits(17u, 18u), 0, 0, 0}},           // tile configuration, tile data
    {kTiles, 0, {~0u, ~0u, ~0u, ~0u}},
    {kTiles, 1, {~0u, ~0u, ~0u, ~0u}},
    {kTileMultiply, 0, {~0u, ~0u, ~0u, ~0u}},
    {kTileMultiply, 1, {~0u, ~0u, ~0u, ~0u}},
};
constexpr Mask kAvx512[] = {
    // F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS, VP2INTERSECT, FP16
    {kFeatures,
     0,
     {0, bits(16u, 17u, 21u, 26u, 27u, 28u, 30u, 31u), bits(1u, 6u, 11u, 12u, 14u), bits(2u, 3u, 8u, 23u)}},
    // AVX-VNNI, AVX512-BF16, AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, AVX10
    {kFeatures, 1, {bits(4u, 5u, 23u), 0, 0, bits(4u, 5u, 10u, 19u)}},
    {kStates, 0, {bits(5u, 6u, 7u), 0, 0, 0}},  // opmask, upper halves, upper sixteen
    {kAvx10, 0, {~0u, ~0u, ~0u, ~0u}},
};

template <size_t N>
void clear(const Mask (&masks)[N], uint32_t leaf, uint32_t subleaf, Registers& r) {
  for (const Mask& mask : masks) {
    if (mask.leaf != leaf || mask.subleaf != subleaf) continue;
    r.eax &= ~mask.clear.eax;
    r.ebx &= ~mask.clear.ebx;
    r.ecx &= ~mask.clear.ecx;
    r.edx &= ~mask.clear.edx;
  }
}

bool hides_avx512 = false;
bool can_fault = false;
struct sigaction before_segv, before_ill;

void mask(bool is_avx512, uint32_t leaf, uint32_t subleaf, Registers& r) {
  clear(kAmx, leaf, subleaf, r);
  if (is_avx512) clear(kAvx512, leaf, subleaf, r);
}

long let_fault(bool is_faulting) { return syscall(SYS_arch_prctl, kArchSetCpuid, is_faulting ? 0 : 1); }

// Whether the signal is a CPUID or its stand-in. A fault of CPUID has no address; only then may the code be read.
bool is_asked(int signal, const siginfo_t* info, const uint8_t* instruction) {
  if (signal == SIGSEGV && (info->si_addr != nullptr || instruction == nullptr)) return false;
  if (signal == SIGSEGV) return instruction[0] == 0x0f && instruction[1] == 0xa2;
  return instruction[0] == 0x0f && instruction[1] == 0x04;
}

void on_signal(int signal, siginfo_t* info, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (!is_asked(signal, info, reinterpret_cast<const uint8_t*>(registers[REG_RIP]))) {
    sigaction(signal, signal == SIGSEGV ? &before_segv : &before_ill, nullptr);
    return;  // the instruction fails again, for whoever was there before
  }
  const auto leaf = static_cast<uint32_t>(registers[REG_RAX]), subleaf = static_cast<uint32_t>(registers[REG_RCX]);
  Registers r;
  if (can_fault) let_fault(false);
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  if (can_fault) let_fault(true);
  mask(hides_avx512, leaf, subleaf, r);
  registers[REG_RAX] = r.eax;
  registers[REG_RBX] = r.ebx;
  registers[REG_RCX] = r.ecx;
  registers[REG_RDX] = r.edx;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) void start() {
  const char* word = getenv("KOMPAKT_HIDE");
  if (word == nullptr || (strcmp(word, "amx") != 0 && strcmp(word, "avx512") != 0)) return;
  hides_avx512 = strcmp(word, "avx512") == 0;
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, &before_ill);
  sigaction(SIGSEGV, &action, &before_segv);
  can_fault = let_fault(true) == 0;
}

}  // namespace

// Whether this processor and kernel can let CPUID fault; leaves the thread as it was.
EXPORTED int kompakt_can_hide() {
  if (let_fault(true) != 0) return 0;
  let_fault(false);
  return 1;
}

// CPUID as this process sees it.
EXPORTED void kompakt_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t* out) {
  __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

// The answer `registers` (eax, ebx, ecx, edx) to a leaf, with AMX hidden, and AVX-512 where `is_avx512`.
EXPORTED void kompakt_mask(int is_avx512, uint32_t leaf, uint32_t subleaf, uint32_t* registers) {
  Registers r{registers[0], registers[1], registers[2], registers[3]};
  mask(is_avx512 != 0, leaf, subleaf, r);
  memcpy(registers, &r, sizeof r);
}
