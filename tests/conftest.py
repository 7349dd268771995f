"""Makes `tests/support` importable everywhere, and property tests repeatable."""

from __future__ import annotations

from hypothesis import settings

# Times vary with the machine's load, not with the code; a failing example is printed and can be replayed.
settings.register_profile("kompakt", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kompakt")
