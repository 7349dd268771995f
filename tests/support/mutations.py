"""Random damage to files. Signed mutations carry correct digests, so that they reach the checks behind them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from .drafts import Draft, dump, padded, split_parts, with_header

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 8, 9, 255, 256, 4096, 4097, 1 << 24, 1 << 31, 1 << 53, 1 << 63, 1 << 64),
    *(0.0, -0.0, 0.5, 1.0, 1e39, 1e-40, 1e-60),
    *("", "x", "input", "planes", "affine", "table", "float", "pm", "01", "tensor", "channel"),
    *([], {}, [0], [1, 1], [2, 2], [1, 2, 3]),
)
_KEYS = ("stride", "padding", "kernel", "groups", "codes", "lo", "hi", "before", "signed", "digits", "grain", "bits")
_JSON_BYTES = b'0123456789.eE-+"{}[],: tfn\\u'


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, overwrite, cut, grow or repeat bytes: what disks and transfers do. Never signed."""
    content, kind = bytearray(data), rng.randrange(5)
    at = rng.randrange(len(content))
    if kind == 0:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        size = rng.randrange(1, 65)
        content[at : at + size] = rng.randbytes(len(content[at : at + size]))
    elif kind == 2:
        del content[at : at + rng.randrange(1, 65)]
    elif kind == 3:
        content[at:at] = rng.randbytes(rng.randrange(1, 65))
    else:
        content[at:at] = content[at : at + rng.randrange(1, 65)]
    return bytes(content)


def mutate_signed(data: bytes, rng: random.Random) -> bytes:
    """Change manifest objects, manifest text, section bytes or header text; everything else stays consistent."""
    kind = rng.randrange(10)
    if kind < 5:
        draft = Draft(data)
        for _ in range(rng.randrange(1, 3)):
            _mutate_object(draft.manifest, rng)
        return draft.to_bytes()
    if kind < 7:
        draft = Draft(data)
        section = rng.choice([content for content in draft.sections.values() if content] or [bytearray(1)])
        section[rng.randrange(len(section))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        return draft.to_bytes()
    if kind < 9:
        draft = Draft(data)
        return draft.with_manifest(padded(_mutate_text(dump(draft.manifest), rng)))
    text, sections = split_parts(data)
    return with_header(padded(_mutate_text(text.rstrip(b" "), rng), 8), sections)


def _mutate_text(text: bytes, rng: random.Random) -> bytes:
    content, at, kind = bytearray(text), rng.randrange(len(text)), rng.randrange(3)
    if kind == 0:
        content[at] = rng.choice(_JSON_BYTES)
    elif kind == 1:
        content.insert(at, rng.choice(_JSON_BYTES))
    else:
        del content[at]
    return bytes(content)


def _mutate_object(manifest: dict[str, Any], rng: random.Random) -> None:
    paths = [path for path in _paths({**manifest, "digests": {}}) if path and path != ("digests",)]
    *path, key = rng.choice(paths)
    holder: Any = manifest
    for step in path:
        holder = holder[step]
    kind = rng.randrange(5)
    if kind < 2:
        holder[key] = copy.deepcopy(rng.choice(_VALUES))
    elif kind == 2:
        del holder[key]
    elif kind == 3 and isinstance(holder, dict):
        holder[rng.choice(_KEYS)] = copy.deepcopy(rng.choice(_VALUES))
    elif kind == 3:
        holder.insert(key, copy.deepcopy(holder[key]))
    elif isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] += rng.choice([-1, 1, 2, 0.5])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))
