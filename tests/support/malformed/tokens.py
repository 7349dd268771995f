"""Defects of embeddings and recurrent layers, in a small language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kompakt.artifact import Node, Program, to_bytes
from kompakt.encoding import Affine, Table
from support import parts
from support.drafts import Draft

from ._case import add_change


def _file(seed: int) -> bytes:
    """Token ids, a table of codes, an LSTM with a state of codes."""
    rng = np.random.default_rng([seed, 3])
    m, b = rng.standard_normal((2, 4)).astype(np.float32)
    state = {"encoding": Affine(8), "inv_step": 64.0}
    weight = parts.weight(rng, (4, 1), Table(2, rng.integers(-127, 128, (1, 4))))
    nodes = (
        Node("embedding", "e", ("input",), {"weight": parts.weight(rng, (6, 4), Affine(4, signed=True))}),
        Node("dequantize", "d", ("e",), {"scale": 0.5}),
        Node("lstm", "r", ("d",), {"weight": weight, "m": m, "b": b, **state}),
        Node("dequantize", "out", ("r",), {"scale": 0.5}),
    )
    return to_bytes(Program((3,), nodes, "out"))


def _change(name: str, change: Callable[[Draft], Any], *kinds: str) -> None:
    add_change(name, change, *kinds, twin=_file)


_change("embedding_of_an_inner_value", lambda d: d.node("e").update({"in": ["x"]}), "node")
_change("embedding_of_an_image", lambda d: d.manifest["input"].update(shape=[3, 1, 1]), "node")
_change("embedding_table_cut", lambda d: d.node("e")["weight"].update(shape=[7, 4]), "section")
_change("embedding_of_the_image_twice", lambda d: d.node("e").update({"in": ["input", "input"]}), "node")
_change("state_without_inv_step", lambda d: d.node("r").pop("inv_step"), "node")
_change("state_without_encoding", lambda d: d.node("r").pop("encoding"), "node")
_change("state_encoding_of_nine_bits", lambda d: d.node("r")["encoding"].update(bits=9), "encoding")
_change("gru_of_four_gates", lambda d: d.node("r").update(op="gru"), "shape")
_change("recurrent_layer_of_sums", lambda d: d.node("r").update({"in": ["e"]}), "node")
_change("multipliers_cut", lambda d: d.sections.update(floats=d.sections["floats"][:-4]), "section")
