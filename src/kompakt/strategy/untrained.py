"""Packing a network without training: for its speed and its size, which do not depend on what the weights are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch

from .._core.errors import RecipeError
from ..artifact import to_bytes
from ..deploy import lower
from ..graph import Graph, trace
from ..quant import METHODS
from ..quant.attach import Choice, LayerChoice, attach, calibrate
from .environment import versions
from .sources import ModelSource

_WORD = re.compile(r"w([1-8])a([1-8]|32)(?:-(lq|lsq))?\Z")
_METHODS = {"lq": "lq_nets", "lsq": "lsq"}
EDGE_METHOD, RESIDUAL_BITS = "lsq", 8


@dataclass(frozen=True)
class BitWord:
    """Bit-widths of a whole network: `w2a2`, `w4a8`, `w1a1`, `w2a32` (float activations), `w2a2-lq` (a method).

    Attributes:
        activations: bits, None for float.
        method: name in `quant.METHODS`, None for uniform levels. Where a method has not the bits, the other one is
            taken: uniform levels do not exist at 1 bit, learned ones not above 4.
    """

    weights: int
    activations: int | None
    method: str | None = None

    @classmethod
    def parse(cls, word: str) -> BitWord:
        """Raises: RecipeError saying what a word looks like."""
        found = _WORD.match(word.strip().lower())
        if not found:
            raise RecipeError(f"bits: expected a word such as w2a2, w1a1, w4a8, w2a32 or w2a2-lq, got {word!r}")
        weights, activations, method = int(found[1]), int(found[2]), _METHODS.get(found[3] or "")
        parsed = cls(weights, None if activations == 32 else activations, method)
        if method is not None and weights not in METHODS[method].bits:
            raise RecipeError(f"bits: {word!r}: method {method!r} has {METHODS[method].bits} bits, not {weights}")
        return parsed

    def layer(self) -> LayerChoice:
        """Choice of an inner layer."""
        return LayerChoice(self._choice(self.weights), self._choice(self.activations) if self.activations else None)

    def ends(self, bits: int | None) -> LayerChoice:
        """Choice of the first and last layer, at `bits` (None: as the others), never with fewer bits than those."""
        if bits is None:
            return self.layer()
        weight = Choice(EDGE_METHOD, max(bits, self.weights))
        return LayerChoice(weight, Choice(EDGE_METHOD, bits) if self.activations else None)

    def _choice(self, bits: int) -> Choice:
        method = self.method or EDGE_METHOD
        return Choice(method if bits in METHODS[method].bits else "lsq" if bits > 1 else "lq_nets", bits)


def pack_untrained(source: ModelSource, calibration: np.ndarray, word: BitWord) -> bytes:
    """A file of `source` at the bits of `word`: weights quantized as they are, activations fitted to `calibration`.

    The first and the last layer have 8 bits, as in the built-in recipes, unless the network has another wish; values
    that shortcuts and pools read have 8 bits.

    Args:
        calibration: float32 (N, *input shape).
    Raises: as `trace`, `attach` and `calibrate`.
    """
    images = torch.from_numpy(calibration)
    original = trace(source.module, images[:2])
    names = [str(node.target) for node in original.layers()]
    choices = {name: word.layer() for name in names}
    choices |= {name: word.ends(source.end_bits) for name in (names[0], names[-1])}
    residual = Choice(EDGE_METHOD, RESIDUAL_BITS) if word.activations else None
    graph = attach(original, choices, residual)
    calibrate(graph, images)
    program = lower(Graph(graph.module, graph.example))
    recipe = f"name={source.name.removeprefix('zoo:')}\nmodel.source={source.name}"
    return to_bytes(program, {**versions(), "recipe": recipe, "training": "none"})
