"""Limits of docs/format.md: what a reader agrees to look at. All counts are per image."""

MAX_HEADER_BYTES = 4096
MAX_MANIFEST_BYTES = 16 << 20
MAX_FILE_BYTES = 1 << 40
MAX_NODES = 65536
MAX_DIMENSION = 1 << 24
MAX_ELEMENTS = 1 << 31
"""Elements of all values together, and of one weight."""
MAX_WINDOW = 4096
"""Kernel, stride, dilation and padding."""
MAX_SHIFT = 30
"""Bits by which `requantize` shifts."""
ACCUMULATOR_LIMIT = 1 << 31
"""Magnitudes of integer sums stay below this, so that they fit int32."""
