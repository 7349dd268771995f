"""What a time was measured on: processor, its instruction sets, system, versions of all engines."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

from .._core.cpu import cpu_flags, cpu_name

_FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_vpopcntdq", "avx512_bitalg",
    "avx512_vbmi", "amx_int8", "amx_bf16",
)  # fmt: skip
_PACKAGES = ("kompakt", "torch", "numpy", "onnxruntime", "openvino", "nncf", "onnx")
_ENVIRONMENT = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KOMPAKT_ISA", "ONEDNN_MAX_CPU_ISA")


def machine() -> dict[str, Any]:
    """Facts as plain JSON values; what cannot be found out is left out, never guessed."""
    from ..strategy.environment import commit  # imports torch

    flags = cpu_flags()
    facts: dict[str, Any] = {
        "cpu": cpu_name() or platform.machine(),
        "features": [name for name in _FEATURES if name in flags],
        "cores": os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "commit": commit(),
        "versions": _versions(),
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }
    if hasattr(os, "getloadavg"):
        facts["load_average_1m"] = round(os.getloadavg()[0], 2)
    return facts


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
