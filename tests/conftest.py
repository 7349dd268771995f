"""Makes `tests/support` importable everywhere, and property tests repeatable."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Before PyTorch is imported: several processes of several threads each take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job inherits an ignored SIGINT; the tests of interruption need the usual one.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Times vary with the machine's load, not with the code; a failing example is printed and can be replayed.
settings.register_profile("kompakt", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kompakt")
