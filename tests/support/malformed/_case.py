"""The table and the decorators that fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.drafts import Draft, padded, split_parts
from support.twin import twin_bytes


@dataclass(frozen=True)
class Case:
    """One defect: how to make a file that has it, and what a reader must say."""

    name: str
    kinds: tuple[str, ...]
    make: Callable[[int], bytes]
    twin: Callable[[int], bytes] = twin_bytes
    is_large: bool = False


CASES: dict[str, Case] = {}


def add(case: Case) -> None:
    """Into the table; names are unique."""
    assert case.name not in CASES, case.name
    CASES[case.name] = case


def raw(*kinds: str) -> Callable[[Callable[[bytes], bytes]], Callable[[bytes], bytes]]:
    """A case that changes the bytes of the file."""

    def register(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        add(Case(change.__name__, kinds, lambda seed: change(twin_bytes(seed))))
        return change

    return register


def parts(*kinds: str) -> Callable[[Callable[[bytes, dict[str, bytes]], bytes]], object]:
    """A case that gets the header text and the sections."""

    def register(change: Callable[[bytes, dict[str, bytes]], bytes]) -> object:
        add(Case(change.__name__, kinds, lambda seed: change(*split_parts(twin_bytes(seed)))))
        return change

    return register


def text(*kinds: str) -> Callable[[Callable[[bytes], bytes]], object]:
    """A case that changes the manifest's text, without its padding; signed and padded after."""

    def register(change: Callable[[bytes], bytes]) -> object:
        def make(seed: int) -> bytes:
            data = twin_bytes(seed)
            manifest = split_parts(data)[1]["manifest"].rstrip(b" ")
            changed = change(manifest)
            assert changed != manifest, change.__name__
            return Draft(data).with_manifest(padded(changed))

        add(Case(change.__name__, kinds, make))
        return change

    return register


def add_change(
    name: str, change: Callable[[Draft], object], *kinds: str, twin: Callable[[int], bytes] = twin_bytes
) -> None:
    """A case that changes the manifest's objects and the sections' bytes of `twin`; signed after."""

    def make(seed: int) -> bytes:
        draft = Draft(twin(seed))
        change(draft)
        return draft.to_bytes()

    add(Case(name, kinds, make, twin))


def draft(*kinds: str) -> Callable[[Callable[[Draft], object]], object]:
    """`add_change` by the name of the function that makes the change."""

    def register(change: Callable[[Draft], object]) -> object:
        add_change(change.__name__, change, *kinds)
        return change

    return register


def attribute(kind: str, name: str, node: str, key: str, value: object) -> None:
    """A case that sets one attribute of one node. `key` may be a path: `weight.bits`."""

    def change(draft: Draft) -> None:
        entry, *path = draft.node(node), *key.split(".")
        for step in path[:-1]:
            entry = entry[step]
        entry[path[-1]] = value

    add_change(name, change, kind)
