# Every C++ source, one per line, sorted; nothing is globbed. Paths are relative to the repository root.

set(KOMPAKT_FORMAT_SOURCES
  csrc/format/attributes.cc
  csrc/format/container.cc
  csrc/format/encodings.cc
  csrc/format/json.cc
  csrc/format/operators.cc
  csrc/format/packing.cc
  csrc/format/reader.cc
  csrc/format/sections.cc
  csrc/format/sha256.cc
  csrc/format/thresholds.cc
)

# Portable code, kernel table and choice. Compiled for the base level of the architecture.
set(KOMPAKT_KERNEL_SOURCES
)

# One object per instruction set level (x86-64 only).
set(KOMPAKT_AVX2_SOURCES
)
set(KOMPAKT_AVX512_SOURCES
)

set(KOMPAKT_RUNTIME_SOURCES
)

# The nanobind module kompakt._native; it is built once csrc/bind/module.cc is listed here.
set(KOMPAKT_BIND_SOURCES
)
