"""Defects of nodes: names, inputs, attributes, kinds of value, uses."""

from __future__ import annotations

from typing import Any

from support.drafts import Draft
from support.twin import twin_bytes

from ._case import Case, add, attribute, draft


def _node(name: str, change: Any, *kinds: str) -> None:
    def apply(made: Draft) -> None:
        change(made)

    apply.__name__ = name
    draft(*(kinds or ("node",)))(apply)


def _set(name: str, node: str, key: str, value: Any, kind: str = "node") -> None:
    attribute(kind, name, node, key, value)


def _rename(old: str, new: Any) -> Any:
    """Rename a node and its uses, so that only the name itself is wrong."""

    def change(made: Draft) -> None:
        for node in made.manifest["nodes"]:
            node["in"] = [new if name == old else name for name in node["in"]]
        made.node(old)["name"] = new

    return change


def _insert_shift(made: Draft, **attributes: int) -> None:
    """A shift_pad that changes nothing, before `sp`."""
    position = made.manifest["nodes"].index(made.node("sp"))
    made.manifest["nodes"].insert(position, {"op": "shift_pad", "name": "still", "in": ["cat"], **attributes})
    made.node("sp")["in"] = ["still"]


_set("op_unknown", "c1", "op", "conv3d")
_set("op_upper_case", "c1", "op", "Conv2d")
_set("op_is_a_number", "c1", "op", 5)
_set("op_is_null", "c1", "op", None)
_node("op_missing", lambda made: made.node("c1").pop("op"))
_node("name_missing", lambda made: made.node("c1").pop("name"))
_node("in_missing", lambda made: made.node("c1").pop("in"))
_node("name_with_a_space", _rename("c1", "c 1"))
_node("name_with_a_slash", _rename("c1", "../c1"))
_node("name_with_a_newline", _rename("c1", "c1\n"))
_node("name_empty", _rename("c1", ""))
_node("name_of_101", _rename("c1", "c" * 101))
_node("name_is_a_number", _rename("c1", 1))
_node("name_of_the_input", _rename("c1", "input"))
_node("name_twice", _rename("t1", "c1"))
_node("node_is_a_list", lambda made: made.manifest["nodes"].__setitem__(3, []))
_node("node_is_null", lambda made: made.manifest["nodes"].__setitem__(3, None))
_node("nodes_empty", lambda made: (made.manifest.update(nodes=[]), [data.clear() for data in made.sections.values()]))
_set("in_is_text", "c1", "in", "q")
_set("in_is_empty", "c1", "in", [])
_set("in_holds_a_number", "c1", "in", [0])
_set("in_unknown", "c1", "in", ["nothing"])
_set("in_is_itself", "c1", "in", ["c1"])
_set("in_is_later", "c1", "in", ["t1"])
_set("in_too_many", "c1", "in", ["q", "q"])
_set("in_too_few", "s", "in", ["a2"])
_set("in_of_concat_alone", "cat", "in", ["m"])
_set("in_of_concat_1025", "cat", "in", ["m"] * 1025)
_set("output_unused_value", "s", "in", ["a2", "a2"])
_node("output_unknown", lambda made: made.manifest.update(output="nothing"))
_node("output_is_the_input", lambda made: made.manifest.update(output="input"))
_node("output_is_not_last", lambda made: made.manifest.update(output="fl"))
_node("output_is_empty", lambda made: made.manifest.update(output=""))


def _without_tail(made: Draft) -> None:
    """The program ends with the sums of `l`."""
    made.manifest["nodes"].pop()
    made.manifest["output"] = "l"
    del made.sections["floats"][-40:]


_node("output_is_sums", _without_tail)
_node("nodes_out_of_order", lambda made: made.manifest["nodes"].insert(0, made.manifest["nodes"].pop(1)))

for _op, _where, _kind in (
    ("quantize", "q", ("encoding", "inv_step")),
    ("encode", "e", ("encoding", "thresholds")),
    ("recode", "rc", ("encoding", "thresholds")),
    ("threshold", "t1", ("encoding",)),
    ("requantize", "rq", ("encoding",)),
    ("dequantize", "d1", ("scale",)),
    ("conv2d", "c1", ("weight",)),
    ("linear", "l", ("weight",)),
    ("max_pool", "m", ("kernel",)),
):
    for _key in _kind:
        _node(f"{_op}_without_{_key}", lambda made, n=_where, k=_key: made.node(n).pop(k))

for _where in ("rq", "q", "c1", "t1", "a2", "d1", "s", "r", "e", "rc", "m", "cat", "sp", "p", "fl", "l"):
    _set(f"unknown_attribute_on_{_where}", _where, "zero", 0)

_set("add_with_a_scale", "s", "scale", 1.0)
_set("affine_values_in_manifest", "a2", "m", [1.0, 1.0, 1.0, 1.0])
_set("threshold_values_in_manifest", "t1", "thresholds", [[0, 1, 2]] * 4)
_set("threshold_directions_in_manifest", "t1", "directions", [1, 1, 1, 1])
_set("requantize_bias_in_manifest", "rq", "bias", [0, 0, 0, 0])
_set("requantize_shifts_in_manifest", "rq", "right", [1, 1, 1, 1])
_set("null_attribute", "c1", "groups", None)
_set("null_weight", "c1", "weight", None)
_set("null_encoding", "q", "encoding", None)
_set("null_hi", "r", "hi", None)
_set("null_kernel", "p", "kernel", None)

# Defaults are not written.
_set("default_stride", "c1", "stride", [1, 1])
_set("default_padding", "c2", "padding", [0, 0])
_set("default_dilation", "c1", "dilation", [1, 1])
_set("default_groups", "c1", "groups", 1)
_set("default_lo", "r", "lo", 0.0)
_set("default_pool_stride", "p", "stride", [2, 1])
_set("default_pool_padding", "p", "padding", [0, 0])
_node("default_shift_stride", lambda made: _insert_shift(made, stride=1))
_node("default_before", lambda made: _insert_shift(made, before=0))
_node("default_after", lambda made: _insert_shift(made, after=0))
_set("default_codes", "rc", "codes", [0, 1, 2, 3])
_set("default_signed", "q2", "encoding.signed", False)
_set("default_digits_of_activation", "t1", "encoding.digits", "01")
_set("default_digits_of_weight", "c1", "weight.digits", "pm")
_set("default_grain", "c1", "weight.grain", "channel")

# Types are exact.
_set("float_attribute_as_integer", "q2", "inv_step", 4)
_set("integer_attribute_as_float", "c2", "groups", 2.0)
_set("integer_attribute_as_true", "sp", "before", True)
_set("integer_attribute_as_text", "c2", "groups", "2")
_set("float_attribute_as_text", "q", "inv_step", "16.5")
_set("float_attribute_as_true", "q", "inv_step", True)
_set("pair_as_a_number", "c1", "padding", 1)
_set("pair_of_three", "c1", "padding", [1, 1, 1])
_set("pair_of_one", "c1", "padding", [1])
_set("pair_of_floats", "c1", "padding", [1.0, 1.0])
_set("shift_stride_as_pair", "sp", "stride", [2, 2])
_set("thresholds_as_a_number", "e", "thresholds", 1.0)
_set("thresholds_of_integers", "e", "thresholds", [1, 2, 3])
_set("integer_thresholds_as_floats", "rc", "thresholds", [1.0, 2.0, 2.0])
_set("codes_as_text", "t1", "codes", "0213")
_set("codes_as_floats", "t1", "codes", [0.0, 2.0, 1.0, 3.0])
_set("weight_is_a_list", "c1", "weight", [])
_set("encoding_is_text", "q", "encoding", "affine")
_set("weight_unknown_key", "c1", "weight.scale", 1.0)
_set("weight_affine_with_grain", "l", "weight.grain", "channel")
_set("weight_table_with_digits", "c2", "weight.digits", "pm")
_set("weight_float_with_bits", "cf", "weight.bits", 32)
_set("weight_shape_as_text", "c1", "weight.shape", "4x3x3x3")
_set("weight_shape_of_floats", "c1", "weight.shape", [4.0, 3.0, 3.0, 3.0])
_set("weight_signed_as_number", "l", "weight.signed", 1)
_set("encoding_unknown_key", "q", "encoding.zero", 0)
_set("encoding_affine_with_basis", "q", "encoding.basis", [1])
_set("encoding_signed_as_number", "q", "encoding.signed", 1)
_node("weight_without_shape", lambda made: made.node("c1")["weight"].pop("shape"))
_node("weight_without_bits", lambda made: made.node("c1")["weight"].pop("bits"))
_node("encoding_without_bits", lambda made: made.node("q")["encoding"].pop("bits"))
_node("whole_map_pool_with_stride", lambda made: (made.node("p").pop("kernel"), made.node("p").update(stride=[2, 2])))
_node("whole_map_pool_with_padding", lambda made: (made.node("p").pop("kernel"), made.node("p").update(padding=[1, 1])))

# Kinds of value.
_set("conv2d_of_sums", "c2", "in", ["c1"])
_set("threshold_of_codes", "t1", "in", ["q"])
_set("threshold_of_floats", "t1", "in", ["input"])
_set("quantize_of_codes", "q2", "in", ["sp"])
_set("affine_of_codes", "a2", "in", ["t1"])
_set("add_of_sums", "s", "in", ["c2", "d1"])
_set("add_of_codes", "s", "in", ["a2", "t1"])
_set("clamp_of_sums", "r", "in", ["c2"])
_set("encode_of_sums", "e", "in", ["c2"])
_set("recode_of_floats", "rc", "in", ["r"])
_set("recode_of_sums", "rc", "in", ["c2"])
_set("requantize_of_codes", "rq", "in", ["rc", "rc"])
_set("requantize_of_floats", "rq", "in", ["a2", "rc"])
_set("requantize_and_floats", "rq", "in", ["c2", "d1"])
_set("requantize_and_planes", "rq", "in", ["c2", "t1"], "encoding")
_set("requantize_and_another_shape", "rq", "in", ["c2", "q"], "shape")
_set("requantize_to_planes", "rq", "encoding", {"kind": "planes", "bits": 2, "basis": [1, 2]}, "encoding")
_node("requantize_of_one_with_shifts_of_two", lambda made: made.node("rq").update({"in": ["c2"]}), "node", "section")
_set("requantize_with_default_top", "rq", "top", 3)
_set("requantize_with_top_as_float", "rq", "top", 2.0)
_set("requantize_above_its_codes", "rq", "top", 4, "value")
_set("requantize_to_one_level", "rq", "top", 0, "value")
_node("requantize_of_three", lambda made: made.node("rq").update({"in": ["c2", "rc", "rc"]}), "node", "section")
_set("dequantize_of_sums", "d1", "in", ["c1"])
_set("max_pool_of_sums", "m", "in", ["c2"])
_set("concat_of_sums", "cat", "in", ["c2", "c2"])
_set("float_weight_on_codes", "cf", "in", ["sp"])
_set("linear_of_sums", "l", "in", ["c2"])


def _concat_of_two_kinds(made: Draft) -> None:
    made.node("cat")["in"] = ["m", "r"]


_node("concat_of_two_kinds", _concat_of_two_kinds, "node", "shape")


def _many_nodes(seed: int) -> bytes:
    made = Draft(twin_bytes(seed))
    last = made.manifest["nodes"][-1]["name"]
    for k in range(65536):
        made.manifest["nodes"].append({"op": "clamp", "name": f"k{k}", "in": [f"k{k - 1}" if k else last]})
    made.manifest["output"] = "k65535"
    return made.to_bytes()


add(Case("nodes_65556", ("size",), _many_nodes, is_large=True))
