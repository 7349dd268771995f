"""Programs to files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .._core.errors import ArtifactError
from .._core.files import atomic_write
from . import canonical
from .check import check
from .layout import ALIGNMENT, digest, header
from .limits import MAX_MANIFEST_BYTES
from .manifest import describe
from .program import Program
from .sections import Sink


def to_bytes(program: Program, metadata: Mapping[str, str | int | float] | None = None) -> bytes:
    """The file of a program: verified first, then written in the one spelling of docs/format.md.

    Args:
        program: any program.
        metadata: text and numbers for people; never interpreted.
    Raises: ArtifactError if the program or the metadata is not legal.
    """
    check(program)
    return encode(program, dict(metadata or {}))


def encode(program: Program, metadata: dict[str, Any]) -> bytes:
    """The file of a program that is already verified. Raises: ArtifactError (`manifest`, `size`)."""
    sink = Sink()
    entries = [describe(node, sink) for node in program.nodes]
    several = _describe_variants(program, sink) if program.variants else {}
    contents = sink.contents()
    manifest = {
        "digests": {name: digest(data) for name, data in contents.items()},
        "input": {"shape": list(program.input_shape)},
        "metadata": canonical.check_metadata(metadata),
        "nodes": entries,
        "output": program.output,
        **several,
    }
    text = canonical.dump(manifest)
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"the manifest has at most {MAX_MANIFEST_BYTES} bytes, got {len(text)}", "size")
    parts = {"manifest": text, **contents}
    return header({name: len(data) for name, data in parts.items()}, digest(text)) + b"".join(parts.values())


def _describe_variants(program: Program, sink: Sink) -> dict[str, Any]:
    variants = [
        {
            "bits": variant.bits,
            "nodes": [describe(node, sink, is_variant=True) for node in variant.nodes],
            "output": variant.output,
        }
        for variant in program.variants
    ]
    return {"bits": program.bits, "variants": variants}


def save(
    path: str | os.PathLike[str], program: Program, metadata: Mapping[str, str | int | float] | None = None
) -> None:
    """Write the file of a program; a reader sees the old file or the new one, never half of either.

    Raises: ArtifactError if the program is not legal; StorageError if the file cannot be written.
    """
    atomic_write(path, to_bytes(program, metadata))
