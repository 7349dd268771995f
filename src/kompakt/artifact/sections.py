"""Section contents as streams: nodes put arrays in order when written, and take them in order when read."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .._core.errors import ArtifactError

DTYPES = {"codes": np.uint8, "bases": np.int8, "floats": np.float32, "thresholds": np.int32, "directions": np.int8}
"""Element types of the data sections, in file order; little-endian in the file."""


class Sink:
    """Collects arrays in node order."""

    def __init__(self) -> None:
        self._parts: dict[str, list[bytes]] = {name: [] for name in DTYPES}

    def put(self, section: str, array: np.ndarray) -> None:
        """Append an array, C order, to a section; the array has the section's type."""
        self._parts[section].append(
            array.astype(np.dtype(DTYPES[section]).newbyteorder("<"), casting="equiv").tobytes()
        )

    def contents(self) -> dict[str, bytes]:
        """Bytes of every section."""
        return {name: b"".join(parts) for name, parts in self._parts.items()}


class Source:
    """Hands out arrays in node order."""

    def __init__(self, sections: Mapping[str, memoryview]) -> None:
        self._sections = sections
        self._position = dict.fromkeys(DTYPES, 0)

    def take(self, section: str, shape: tuple[int, ...]) -> np.ndarray:
        """The next array of this shape. Raises: ArtifactError (`section`) if the section is too short."""
        dtype = np.dtype(DTYPES[section]).newbyteorder("<")
        begin, length = self._position[section], math.prod(shape) * dtype.itemsize
        rest = len(self._sections[section]) - begin
        if length > rest:
            raise ArtifactError(f"shape {shape} needs {length} bytes of section {section}, {rest} are left", "section")
        self._position[section] = begin + length
        raw = np.frombuffer(self._sections[section][begin : begin + length], dtype)
        return raw.astype(DTYPES[section]).reshape(shape)

    def check_empty(self) -> None:
        """Raises: ArtifactError (`section`) if a section holds more than the nodes took."""
        for name, position in self._position.items():
            found = len(self._sections[name])
            if position != found:
                raise ArtifactError(f"section {name}: the nodes need {position} bytes, got {found}", "section")
