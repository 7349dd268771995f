"""Damaged files, one per seed, for comparing readers: bytes changed anywhere, and changes inside a file that
is signed again, so that digests do not hide them from the checks behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from kompakt.artifact import Node, Program, to_bytes

from .drafts import SECTIONS, Draft, dump, padded, split_parts, with_header
from .programs import random_program
from .twin import twin_bytes
from .variants import with_variants

_EXPONENTS = (4, 5, 6, 7, 8, 12, 16, 20, 24, 31, 32, 53, 63, 64)
INTEGERS = [
    *range(-2, 10),
    *(sign * (1 << exponent) + near for exponent in _EXPONENTS for sign in (1, -1) for near in (-1, 0, 1)),
    10**30,
]
FLOATS = [
    float(text)
    for text in """0.0 -0.0 0.1 0.10000000149011612 0.5 1.0 -1.0 2.0 1e-05 9.999999747378752e-05 1e16 1e22
    16777216.0 1.401298464324817e-45 1.1754943508222875e-38 3.4028234663852886e38 3.4028235677973366e38
    1e39 1e308 5e-324""".split()
]
TEXTS = [
    *"""input out q c1 codes affine planes table float pm 01 tensor channel quantize encode recode threshold dequantize
    requantize conv2d linear add clamp max_pool sum_pool concat shift_pad flatten reshape gather unary add_constant
    layer_norm attention embedding lstm gru gelu tanh softmax""".split(),
    *("", "a b", "\n", "\u00e9", "n" * 101),
]
KEYS = """bits kind signed digits grain shape basis levels stride padding dilation groups kernel encoding weight codes
thresholds directions scale inv_step lo hi before after size index axis heads bias left right
    eps function value m b in name op nodes output variants
    unknown""".split()
# A number or text that is not in its canonical spelling, or nothing at all.
SPELLINGS = [
    *"""1.0 1.50 01 -0 +1 1e0 1E5 1e5 1e+05 0.00001 1e-5 .5 5. NaN Infinity -Infinity nan 1e400 1e-400 null true false
    [] {} "\\u0041" "\\/" "\\r" 'a' {"a":1,"a":1} {"b":1,"a":1} // 1//2""".split(),
    *("9" * 40, "0." + "3" * 40, "9" * 5000, "[" * 200 + "]" * 200, '"\x7f"', '"\t"', " 1", "1 ", ""),
]


def corpus() -> list[bytes]:
    """Legal files: every operator and encoding, many shapes, and the smallest file there is."""
    smallest = Program((1,), (Node("clamp", "out", ("input",)),), "out")
    return [
        to_bytes(smallest),
        *(twin_bytes(seed) for seed in range(3)),
        *(to_bytes(random_program(seed)) for seed in range(12)),
        *(to_bytes(with_variants(random_program(seed), (8, 3, 2))) for seed in (1, 5, 8)),
    ]


def any_bytes(file: bytes, rng: Random) -> bytes:
    """Flip, set, insert, delete, repeat or truncate, anywhere in the file; nothing is signed again."""
    return _damage(file, rng)


def header_text(file: bytes, rng: Random) -> bytes:
    """Damage the header's text; its length and padding are right."""
    text, parts = split_parts(file)
    return with_header(padded(_damage(text.rstrip(b" "), rng), 8), parts)


def header_value(file: bytes, rng: Random) -> bytes:
    """Change a value or a key of the header."""
    text, parts = split_parts(file)
    return with_header(padded(json.dumps(_change(json.loads(text), rng), separators=(",", ":")).encode(), 8), parts)


def manifest_text(file: bytes, rng: Random) -> bytes:
    """Damage the manifest's text, or write a value in another spelling."""
    draft = Draft(file)
    if rng.random() < 0.4:
        return draft.with_manifest(padded(_damage(dump(draft.manifest), rng)))
    mark = "@here@"
    text = dump(_change(draft.manifest, rng, mark)).replace(dump(mark), rng.choice(SPELLINGS).encode())
    return draft.with_manifest(padded(text))


def manifest_value(file: bytes, rng: Random) -> bytes:
    """Change one or two values, keys or entries of the manifest."""
    draft = Draft(file)
    for _ in range(rng.choice((1, 1, 1, 2))):
        draft.manifest = _change(draft.manifest, rng)
    return draft.with_manifest(padded(dump(draft.manifest)))


def section_bytes(file: bytes, rng: Random) -> bytes:
    """Damage a data section."""
    draft = Draft(file)
    name = rng.choice([name for name, content in draft.sections.items() if content] or ["codes"])
    damaged = _damage(bytes(draft.sections[name]), rng)
    width = SECTIONS[name][1]
    draft.sections[name] = bytearray(damaged[: len(damaged) // width * width])
    return draft.to_bytes()


def value_and_section(file: bytes, rng: Random) -> bytes:
    """Change a node and lengthen or shorten a section, as a change of shape would need."""
    draft = Draft(file)
    name = rng.choice(list(draft.sections))
    count = rng.choice((-8, -1, 1, 2, 3, 8, 64)) * SECTIONS[name][1]
    content = draft.sections[name]
    draft.sections[name] = content[:count] if count < 0 else content + bytes(count)
    draft.manifest["nodes"] = _change(draft.manifest["nodes"], rng)
    return draft.to_bytes()


WEIGHTS: dict[Callable[[bytes, Random], bytes], int] = {
    any_bytes: 2,
    header_text: 1,
    header_value: 1,
    manifest_text: 3,
    manifest_value: 8,
    section_bytes: 2,
    value_and_section: 2,
}
"""Most cases come from mutators that sign again: the others rarely get past the digests."""


def mutate(files: list[bytes], seed: int) -> bytes:
    """The damaged file of a seed; the same for the same seed."""
    rng = Random(seed)
    mutator = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return mutator(rng.choice(files), rng)


def _damage(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice((0, 1, 0x20, 0x22, 0x30, 0x39, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.choice((1, 4, 8)))
        elif kind == 3:
            del out[at : at + rng.choice((1, 2, 4, 16))]
        elif kind == 4:
            out[at:at] = out[at : at + rng.choice((1, 4, 16, 64))]
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


def _change(value: Any, rng: Random, mark: str | None = None) -> Any:
    """A copy with one random place changed, or replaced by `mark`."""
    copy = json.loads(json.dumps(value))
    places = list(_places(copy))
    if not places:
        return mark
    holder, key = rng.choice(places)
    if mark is not None:
        holder[key] = mark
    elif isinstance(holder, list):
        _change_list(holder, key, rng)
    else:
        _change_dict(holder, key, rng)
    return copy


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) below `value`."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def _change_list(holder: list[Any], key: int, rng: Random) -> None:
    kind = rng.randrange(8)
    other = rng.randrange(len(holder))
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder.insert(other, json.loads(json.dumps(holder[key])))
    elif kind == 2:
        holder[key], holder[other] = holder[other], holder[key]
    else:
        holder[key] = _other(holder[key], rng)


def _change_dict(holder: dict[str, Any], key: str, rng: Random) -> None:
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[rng.choice(KEYS)] = _other(holder[key], rng)
    elif kind == 2:
        holder[rng.choice(KEYS)] = holder.pop(key)
    else:
        holder[key] = _other(holder[key], rng)


def _other(value: Any, rng: Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice((None, True, False, [], {}, [[]], "", 0, 0.0))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1)) if rng.random() < 0.4 else rng.choice(INTEGERS)
    if isinstance(value, float):
        return rng.choice((-value, value * 2, value / 2, int(value), rng.choice(FLOATS), rng.choice(FLOATS)))
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, list) and value:
        return rng.choice((value[:-1], value + value[:1], value[::-1], [_other(value[0], rng), *value[1:]]))
    return rng.choice(({}, [], [1], [1, 1], [2, 2], {"bits": 1, "kind": "affine"}))
