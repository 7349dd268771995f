"""Codes to bytes and back, exactly as docs/format.md lays them out. Every bit that no code uses is zero."""

from __future__ import annotations

import math

import numpy as np

from .._core.errors import ArtifactError
from ._types import Encoding, Planes


def packed_bytes(count: int, encoding: Encoding) -> int:
    """Bytes that `count` codes take: one bit stream (affine, table), or one stream of bits per plane (planes)."""
    if isinstance(encoding, Planes):
        return encoding.bits * ((count + 7) // 8)
    return (count * encoding.bits + 7) // 8


def pack(codes: np.ndarray, encoding: Encoding) -> bytes:
    """Pack codes (uint8, any shape, C order) to `packed_bytes` bytes.

    Raises: ArtifactError (`value`) if a code has more than `bits` bits.
    """
    flat = np.ascontiguousarray(codes, dtype=np.uint8).reshape(-1)
    if flat.size and int(flat.max()) >> encoding.bits:
        raise ArtifactError(f"codes must have {encoding.bits} bits, got {flat.max()}", "value")
    bits = np.unpackbits(flat[:, None], axis=1, count=encoding.bits, bitorder="little")  # (n, bits)
    if isinstance(encoding, Planes):
        return np.packbits(bits.T, axis=1, bitorder="little").tobytes()
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(data: bytes, shape: tuple[int, ...], encoding: Encoding) -> np.ndarray:
    """Codes (uint8, `shape`) from the bytes that `pack` gives.

    Raises: ArtifactError (`section` for a wrong length, `value` if a bit that no code uses is set).
    """
    count = math.prod(shape)
    if len(data) != packed_bytes(count, encoding):
        raise ArtifactError(
            f"{count} codes of {encoding.bits} bits take {packed_bytes(count, encoding)} bytes, got {len(data)}",
            "section",
        )
    raw = np.frombuffer(data, np.uint8)
    if isinstance(encoding, Planes):
        streams = raw.reshape(encoding.bits, (count + 7) // 8)
        every = np.unpackbits(streams, axis=1, bitorder="little")
        used, unused = every[:, :count].T, every[:, count:]
    else:
        every = np.unpackbits(raw, bitorder="little")
        used, unused = every[: count * encoding.bits].reshape(count, encoding.bits), every[count * encoding.bits :]
    if unused.any():
        raise ArtifactError(f"unused bits after {count} codes of {encoding.bits} bits must be zero", "value")
    return np.packbits(used, axis=1, bitorder="little").reshape(shape)
