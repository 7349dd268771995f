"""Files to programs. A file is hostile until all of it is checked; there is one way in and one exception class."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._core.errors import ArtifactError
from . import canonical
from .check import TypeCheck
from .layout import digest, split
from .limits import MAX_FILE_BYTES
from .manifest import restore
from .program import Node, Program
from .sections import DTYPES, Source
from .variants import Weights, check_widths, weights_of
from .write import encode

_TOP_KEYS = {"digests", "input", "metadata", "nodes", "output"}
_SEVERAL = {"bits", "variants"}
_VARIANT_KEYS = {"bits", "nodes", "output"}


def load(path: str | os.PathLike[str]) -> tuple[Program, dict[str, Any]]:
    """Program and metadata of a file. Raises: ArtifactError naming the path; OSError if it cannot be opened."""
    if os.path.getsize(path) > MAX_FILE_BYTES:
        raise ArtifactError(f"{path}: a file has at most {MAX_FILE_BYTES} bytes", "size")
    try:
        return from_bytes(Path(path).read_bytes())
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}", error.kind) from None


def from_bytes(data: bytes) -> tuple[Program, dict[str, Any]]:
    """Program and metadata of a file's content.

    Every check of docs/format.md is made, then the program is written again: what is not the same bytes is refused.

    Raises: ArtifactError with the kind of the defect.
    """
    data = bytes(data)
    found = split(data)
    manifest = canonical.parse(bytes(found["manifest"]), "manifest")
    _check_top(manifest)
    for name, expected in manifest["digests"].items():
        if digest(bytes(found[name])) != expected:
            raise ArtifactError(f"section {name}: SHA-256 is not {expected!r}; the file is damaged", "digest")
    program = _restore_program(manifest, Source(found))
    _check_spelling(data, program, manifest)
    return program, manifest["metadata"]


def sections(data: bytes) -> dict[str, int]:
    """Bytes of the header and of every section, for size reports; only the container is checked.

    Raises: ArtifactError if the container is not legal.
    """
    lengths = {name: len(content) for name, content in split(data).items()}
    return {"header": len(data) - sum(lengths.values()), **lengths}


def _check_top(manifest: Any) -> None:
    if not isinstance(manifest, dict) or set(manifest) not in (_TOP_KEYS, _TOP_KEYS | _SEVERAL):
        raise ArtifactError(f"manifest: expected an object with the keys {sorted(_TOP_KEYS)}", "manifest")
    digests, value = manifest["digests"], manifest["input"]
    if not isinstance(digests, dict) or set(digests) != set(DTYPES):
        raise ArtifactError(f"manifest: digests must name the sections {', '.join(DTYPES)}", "manifest")
    if not isinstance(value, dict) or set(value) != {"shape"} or not isinstance(value["shape"], list):
        raise ArtifactError("manifest: input must be an object with a shape", "manifest")
    if not isinstance(manifest["nodes"], list) or not isinstance(manifest["output"], str):
        raise ArtifactError("manifest: nodes must be a list and output a name", "manifest")
    canonical.check_metadata(manifest["metadata"])
    if "variants" in manifest:
        _check_variants(manifest)


def _check_variants(manifest: dict[str, Any]) -> None:
    variants = manifest["variants"]
    if not isinstance(variants, list):
        raise ArtifactError("manifest: variants must be a list", "manifest")
    for entry in variants:
        if not isinstance(entry, dict) or set(entry) != _VARIANT_KEYS:
            raise ArtifactError(
                f"manifest: a variant must be an object with the keys {sorted(_VARIANT_KEYS)}", "manifest"
            )
        if not isinstance(entry["nodes"], list) or not isinstance(entry["output"], str):
            raise ArtifactError("manifest: a variant's nodes must be a list and its output a name", "manifest")
    bits = [entry["bits"] for entry in (manifest, *variants)]
    if not all(type(number) is int for number in bits):
        raise ArtifactError(f"manifest: bits must be integers, got {bits}", "manifest")
    check_widths(bits)


def _restore_program(manifest: dict[str, Any], source: Source) -> Program:
    shape = manifest["input"]["shape"]
    program = _restore_nodes(manifest, shape, source, None)
    weights = weights_of(program.nodes)
    variants = [_restore_nodes(entry, shape, source, weights) for entry in manifest.get("variants", ())]
    source.check_empty()
    return replace(program, variants=tuple(variants))


def _restore_nodes(entry: dict[str, Any], shape: list[int], source: Source, weights: Weights | None) -> Program:
    state = TypeCheck(Program(tuple(shape), (), entry["output"]).input_shape)
    nodes = [_next_node(node, source, state, weights) for node in entry["nodes"]]
    state.finish(entry["output"])
    return Program(tuple(shape), tuple(nodes), entry["output"], entry.get("bits", 0))


def _next_node(entry: Any, source: Source, state: TypeCheck, weights: Weights | None) -> Node:
    if not isinstance(entry, dict) or not {"op", "name", "in"} <= set(entry):
        raise ArtifactError("manifest: a node must be an object with op, name and in", "node")
    inputs, where = entry["in"], f"node {entry['name']!r}"
    if not isinstance(inputs, list) or not inputs or not isinstance(inputs[0], str):
        raise ArtifactError(f"{where}: in must be a list of names, got {inputs!r}", "node")
    node = restore(entry, source, state.input_type(inputs[0], where).shape, weights)
    state.add(node)
    return node


def _check_spelling(data: bytes, program: Program, manifest: dict[str, Any]) -> None:
    """Refuse a file that is not what we would write for its own content."""
    again = encode(program, manifest["metadata"])
    if again == data:
        return
    ours = canonical.parse(bytes(split(again)["manifest"]), "manifest")
    for entry, expected in zip(_entries(manifest), _entries(ours), strict=True):
        found, wanted = canonical.dump(entry).decode(), canonical.dump(expected).decode()
        if found != wanted:
            raise ArtifactError(
                f"node {expected['name']!r}: expected {wanted}, got {found}; defaults are left out",
                "node",
            )
    raise ArtifactError(
        "manifest: not written canonically (key order, spaces, escapes, number form, padding)", "manifest"
    )


def _entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of all bit-widths."""
    return [node for part in (manifest, *manifest.get("variants", ())) for node in part["nodes"]]
