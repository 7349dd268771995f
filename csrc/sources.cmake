# Every C++ source, one per line, sorted; nothing is globbed. Paths are relative to the repository root.

set(KOMPAKT_FORMAT_SOURCES
  csrc/format/attributes.cc
  csrc/format/checks.cc
  csrc/format/container.cc
  csrc/format/encodings.cc
  csrc/format/json.cc
  csrc/format/operators.cc
  csrc/format/packing.cc
  csrc/format/reader.cc
  csrc/format/requantize.cc
  csrc/format/sections.cc
  csrc/format/sequences.cc
  csrc/format/sha256.cc
  csrc/format/thresholds.cc
)

# Portable code, kernel table and choice. Compiled for the base level of the architecture.
set(KOMPAKT_KERNEL_SOURCES
  csrc/kernels/portable.cc
)

# One object per instruction set level (x86-64 only).
set(KOMPAKT_AVX2_SOURCES
  csrc/kernels/avx2.cc
)
set(KOMPAKT_AVX512_SOURCES
  csrc/kernels/avx512.cc
)

set(KOMPAKT_AMX_SOURCES
  csrc/kernels/amx.cc
)

# The same for 64-bit Arm.
set(KOMPAKT_NEON_SOURCES
  csrc/kernels/neon.cc
)
set(KOMPAKT_DOTPROD_SOURCES
  csrc/kernels/dotprod.cc
)

# Permission for AMX tiles; or, for tests on any x86-64 Linux CPU, tile instructions emulated where they trap.
set(KOMPAKT_TILE_SOURCES
  csrc/runtime/tiles.cc
)
set(KOMPAKT_TRAPPED_TILE_SOURCES
  csrc/tools/trapped_tiles.cc
)

set(KOMPAKT_RUNTIME_SOURCES
  csrc/runtime/attention.cc
  csrc/runtime/border.cc
  csrc/runtime/choice.cc
  csrc/runtime/cpu.cc
  csrc/runtime/depthwise_layer.cc
  csrc/runtime/dot_layer.cc
  csrc/runtime/engine.cc
  csrc/runtime/executor.cc
  csrc/runtime/gemv_layer.cc
  csrc/runtime/geometry.cc
  csrc/runtime/heads.cc
  csrc/runtime/layer.cc
  csrc/runtime/lookup_layer.cc
  csrc/runtime/plan.cc
  csrc/runtime/planes_layer.cc
  csrc/runtime/pool.cc
  csrc/runtime/pooling.cc
  csrc/runtime/real_layer.cc
  csrc/runtime/recurrent.cc
  csrc/runtime/requantize.cc
  csrc/runtime/rescale.cc
  csrc/runtime/rows.cc
  csrc/runtime/stages.cc
  csrc/runtime/steps.cc
  csrc/runtime/winograd4_layer.cc
  csrc/runtime/winograd_layer.cc
)

# The nanobind module kompakt._native.
set(KOMPAKT_BIND_SOURCES
  csrc/bind/module.cc
)
