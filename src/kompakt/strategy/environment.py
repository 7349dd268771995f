"""What a result depends on besides the recipe: versions, CPU, commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._core.cpu import cpu_name
from .recipe import Recipe


def artifact_metadata(recipe: Recipe) -> dict[str, Any]:
    """Metadata of the packed file: versions, seed, and the recipe as `key=value` lines (without defaults)."""
    return {**versions(), "seed": recipe.seed, "recipe": flat_recipe(recipe)}


def versions() -> dict[str, str]:
    """Versions of what makes a file."""
    return {
        "kompakt": library_version(), "torch": str(torch.__version__), "numpy": np.__version__,
        "python": platform.python_version(),
    }  # fmt: skip


def flat_recipe(recipe: Recipe) -> str:
    """`train.epochs=32` and so on, one line each, only what differs from the defaults."""
    return "\n".join(_flatten("", recipe.model_dump(exclude_defaults=True)))


def _flatten(prefix: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [line for key, inner in value.items() for line in _flatten(f"{prefix}.{key}" if prefix else key, inner)]
    if isinstance(value, list):
        return [line for i, inner in enumerate(value) for line in _flatten(f"{prefix}.{i}", inner)]
    return [f"{prefix}={value}"]


def environment(data_hash: str | None, seed: int, device: str) -> dict[str, Any]:
    """Content of `env.json`. `device`: where it was trained."""
    return {
        "kompakt": library_version(), "python": platform.python_version(), "torch": str(torch.__version__),
        "numpy": np.__version__, "system": platform.platform(), "cpu": cpu_name() or platform.machine(),
        "threads": torch.get_num_threads(), "device": device,
        "commit": commit(), "seed": seed, "data_sha256": data_hash,
    }  # fmt: skip


def library_version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("kompakt")
    except metadata.PackageNotFoundError:
        return "0+source"


@functools.cache
def commit() -> str | None:
    """Commit of the checkout that this package runs from, None outside of one."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    answer = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
