"""What the system says of the CPU."""

from __future__ import annotations

from pathlib import Path


def cpu_flags() -> frozenset[str]:
    """Feature words of the first CPU as Linux lists them; empty elsewhere."""
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())


def cpu_name() -> str:
    """Model name of the CPU, empty where the system does not tell."""
    return _cpuinfo("model name")


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == field), "")
