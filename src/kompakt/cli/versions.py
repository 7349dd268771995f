"""Versions of this library and of what it stands on, read from installation records: nothing is imported."""

from __future__ import annotations

from importlib import metadata

PARTS = (
    "torch",
    "numpy",
    "safetensors",
    "click",
    "rich",
    "pydantic",
    "jinja2",
    "scikit-learn",
    "onnxruntime",
    "openvino",
)


def library_version() -> str:
    """Version of the installed package, `0+source` where it runs from a checkout that is not installed."""
    return installed_version("kompakt") or "0+source"


def installed_version(name: str) -> str | None:
    """Version of a distribution, None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
