"""One base class, one subclass per kind of mistake; every message says what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KompaktError(Exception):
    """Base of every error that Kompakt raises on purpose."""


class ArtifactError(KompaktError, ValueError):
    """A model file (or a program to be written to one) is not legal.

    Attributes:
        kind: the defect, one word of the list in `docs/format.md`, section "Refusals".
    """

    def __init__(self, message: str, kind: str = "value") -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ArtifactError], tuple[str, str]]:
        return type(self), (str(self), self.kind)


class InputError(KompaktError, ValueError):
    """An array given to the engine has the wrong shape, type or content."""


class GraphError(KompaktError, ValueError):
    """A model cannot be traced, rewritten or lowered."""


class QuantizerError(KompaktError, ValueError):
    """A quantizer was given bits, a grain or values that it cannot represent."""


class RecipeError(KompaktError, ValueError):
    """A recipe or an option is unknown, of the wrong type, or impossible."""


class DataError(KompaktError, ValueError):
    """Data or a pretrained model was not found or is not what it should be."""


class TrainingError(KompaktError, RuntimeError):
    """Training met a value that makes going on pointless (NaN, missing gradient, foreign checkpoint)."""


class StorageError(KompaktError, OSError):
    """A file could not be written; the previous file is intact."""


def nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """Text for an error message: `did you mean 'a', 'b'?`, or the known words where none is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=count, cutoff=0.5)
    if near:
        return "did you mean " + ", ".join(repr(n) for n in near) + "?"
    return "known: " + ", ".join(repr(n) for n in known[:12])
