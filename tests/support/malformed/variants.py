"""Defects of a file of several bit-widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kompakt.artifact import Node, Program, Weight, to_bytes
from kompakt.encoding import Affine, Planes
from support import parts
from support.drafts import Draft
from support.variants import with_variants

from ._case import Case, add, add_change


def _file(seed: int) -> bytes:
    """An 8-bit layer without the code of -127 .. -124, a float one, and both at 4 and 2 bits."""
    rng = np.random.default_rng([seed, 4])
    rows = {"m": np.ones(2, np.float32), "b": np.zeros(2, np.float32)}
    weight = Weight(rng.integers(0, 124, (2, 3)).astype(np.uint8), Affine(8, signed=True))
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(4), "inv_step": 2.0}),
        Node("linear", "l", ("q",), {"weight": weight}),
        Node("affine", "a", ("l",), rows),
        Node("linear", "f", ("a",), {"weight": parts.float_weight(rng, (2, 2))}),
        Node("affine", "out", ("f",), rows),
    )
    program = with_variants(Program((3,), nodes, "out"), (8, 4, 2))
    planes = Weight(weight.codes >> 6, Planes(2, np.array([1, -2]), "pm"))
    last = tuple(
        Node(node.op, node.name, node.inputs, {**node.attrs, "weight": planes}) if node.name == "l" else node
        for node in program.variants[1].nodes
    )
    lower = (program.variants[0], Program((3,), last, "out", 2))
    return to_bytes(Program((3,), program.nodes, "out", 8, lower))


def _change(name: str, change: Callable[[Draft], Any], *kinds: str) -> None:
    add_change(name, change, *kinds, twin=_file)


def _variant(draft: Draft, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = draft.manifest["variants"][place]
    return found


def _node(draft: Draft, name: str, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = next(node for node in _variant(draft, place)["nodes"] if node["name"] == name)
    return found


_change("variants_without_bits", lambda d: d.manifest.pop("bits"), "manifest")
_change("bits_without_variants", lambda d: d.manifest.pop("variants"), "manifest")
_change("variants_none", lambda d: d.manifest.update(variants=[]), "value")
_change("variants_is_an_object", lambda d: d.manifest.update(variants={}), "manifest")
_change("variant_is_a_list", lambda d: d.manifest.update(variants=[[]]), "manifest")
_change("variant_without_output", lambda d: _variant(d).pop("output"), "manifest")
_change("variant_with_metadata", lambda d: _variant(d).update(metadata={}), "manifest")
_change("variant_of_variants", lambda d: _variant(d).update(variants=[]), "manifest")
_change("variant_output_is_a_number", lambda d: _variant(d).update(output=1), "manifest")
_change("variant_bits_as_text", lambda d: _variant(d).update(bits="4"), "manifest")
_change("variant_bits_as_float", lambda d: _variant(d).update(bits=4.0), "manifest")
_change("variant_bits_as_boolean", lambda d: _variant(d, 1).update(bits=True), "manifest")
_change("highest_bits_as_boolean", lambda d: d.manifest.update(bits=True), "manifest")
_change("highest_bits_nine", lambda d: d.manifest.update(bits=9), "value")
_change("highest_bits_one", lambda d: d.manifest.update(bits=1), "value")
_change("highest_bits_most_negative", lambda d: d.manifest.update(bits=-(2**63)), "value")
_change("highest_bits_beyond_64_bits", lambda d: d.manifest.update(bits=2**64 + 8), "value", "manifest")
_change("variant_bits_as_the_highest", lambda d: _variant(d).update(bits=8), "value")
_change("variant_bits_ascend", lambda d: _variant(d, 1).update(bits=5), "value")
_change("variant_bits_twice", lambda d: _variant(d, 1).update(bits=4), "value")
_change("variant_bits_zero", lambda d: _variant(d, 1).update(bits=0), "value")
_change("variant_bits_negative", lambda d: _variant(d, 1).update(bits=-1), "value")
_change("variant_of_no_nodes", lambda d: _variant(d).update(nodes=[]), "node")
_change("variant_output_is_no_node", lambda d: _variant(d).update(output="a"), "node")
_change("variant_reads_another_bit_width", lambda d: _node(d, "a").update({"in": ["missing"]}), "node")
_change("variant_layer_of_another_name", lambda d: (
    _node(d, "l").update(name="l2"), _node(d, "a").update({"in": ["l2"]})), "node")  # fmt: skip
_change("variant_layer_named_as_no_layer", lambda d: (
    _node(d, "l").update(name="x"), _node(d, "a").update({"in": ["x"], "name": "l"}),
    _node(d, "f").update({"in": ["l"]}), _node(d, "x").update(name="a"), _node(d, "l").update({"in": ["a"]})),
    "node")  # fmt: skip
_change("variant_floats_of_codes", lambda d: _node(d, "l").update(weight={"kind": "float", "shape": [2, 3]}), "node")
_change("variant_codes_of_floats", lambda d: _node(d, "f").update(
    weight={"kind": "affine", "bits": 4, "shape": [2, 2]}), "node")  # fmt: skip
_change("variant_weight_of_another_shape", lambda d: _node(d, "l")["weight"].update(shape=[2, 2]), "shape")
_change("variant_weight_turned", lambda d: _node(d, "l")["weight"].update(shape=[3, 2]), "shape")
_change("variant_weight_of_too_many_axes", lambda d: _node(d, "l")["weight"].update(shape=[2, 3, 1]), "shape")
_change("variant_weight_of_nine_bits", lambda d: _node(d, "l")["weight"].update(bits=9), "encoding")
_change("variant_weight_with_codes", lambda d: d.sections["codes"].extend(d.sections["codes"]), "section")
_change("variant_weight_with_floats", lambda d: d.sections["floats"].extend(bytes(16)), "section")
_change("variant_table_missing", lambda d: d.sections.update(bases=d.sections["bases"][:-1]), "section")
_change("variant_wide_table_missing", lambda d: _node(d, "l", 1)["weight"].update(bits=3), "section")
_change("variant_level_of_128", lambda d: d.array("bases", np.int8).__setitem__(0, -128), "encoding")
_change("variant_basis_of_zeros", lambda d: d.array("bases", np.int8).__setitem__(slice(-4, None), 0), "encoding")
_change("variant_default_written_out", lambda d: _node(d, "l", 1)["weight"].update(digits="pm"), "node")


def _fewer_rows(draft: Draft) -> None:
    """One row less, and everything behind made to fit it: only the stored weight says otherwise."""
    weight = _node(draft, "l")["weight"]
    weight.pop("grain")
    weight.update(shape=[1, 3])
    _node(draft, "f")["weight"].update(shape=[2, 1])
    floats = draft.sections["floats"]
    draft.sections["floats"] = floats[:48] + floats[56:]


_change("variant_weight_of_fewer_rows", _fewer_rows, "shape")


def _more_than_stored(seed: int) -> bytes:
    draft = Draft(_file(seed))
    weight = draft.node("l")["weight"]
    weight.update(bits=3)
    draft.sections["codes"] = bytearray(3)
    return draft.to_bytes()


add(Case("variant_of_more_bits_than_are_stored", ("encoding",), _more_than_stored, _file))


def _forbidden_code(seed: int) -> bytes:
    """The code of -128, legal as a table's, in a variant that calls it an 8-bit signed number."""
    draft = Draft(_file(seed))
    whole, part = draft.node("l")["weight"], _node(draft, "l")["weight"]
    whole.clear()
    whole.update(kind="table", bits=8, shape=[2, 3], grain="tensor")
    part.clear()
    part.update(kind="affine", bits=8, shape=[2, 3], signed=True)
    draft.sections["codes"][0] = 0x80
    levels = np.arange(256).clip(0, 127).astype(np.int8).tobytes()
    draft.sections["bases"] = bytearray(levels) + draft.sections["bases"][-4:]
    return draft.to_bytes()


add(Case("variant_weight_of_level_128", ("value",), _forbidden_code, _file))
