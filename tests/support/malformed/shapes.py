"""Defects of shapes, windows, groups and sizes."""

from __future__ import annotations

from typing import Any

from support.drafts import Draft
from support.twin import twin_bytes

from ._case import Case, add, add_change, attribute


def _set(name: str, node: str, key: str, value: Any, kind: str = "shape") -> None:
    attribute(kind, name, node, key, value)


def _input(name: str, shape: list[Any], *kinds: str) -> None:
    def make(seed: int) -> bytes:
        made = Draft(twin_bytes(seed))
        made.manifest["input"]["shape"] = shape
        return made.to_bytes()

    add(Case(name, kinds or ("shape",), make))


_input("input_without_dimensions", [])
_input("input_of_two_dimensions", [3, 6])
_input("input_of_four_dimensions", [1, 3, 6, 5])
_input("input_with_a_zero", [3, 0, 5])
_input("input_negative", [3, -6, 5])
_input("input_of_another_channel_count", [4, 6, 5])
_input("input_flat", [3])
_input("input_dimension_over_2_24", [3, (1 << 24) + 1, 1])
_input("input_dimension_2_64", [3, 1 << 64, 1], "shape", "manifest", "node")
_input("input_elements_over_2_31", [128, 1 << 12, (1 << 12) + 1], "size", "shape")
_input("input_elements_wrap_2_64", [1 << 24, 1 << 24, 1 << 24], "size", "shape")
_input("input_dimension_is_a_float", [3.0, 6.0, 5.0], "node", "manifest", "shape")
_input("input_dimension_is_true", [True, 6, 5], "node", "manifest", "shape")
_input("input_dimension_is_text", ["3", 6, 5], "node", "manifest", "shape")

_set("conv2d_takes_other_channels", "c1", "weight.shape", [3, 4, 3, 3])
_set("conv2d_groups_do_not_divide", "c2", "groups", 3)
_set("conv2d_groups_do_not_divide_outputs", "c1", "groups", 3)
_set("conv2d_groups_zero", "c2", "groups", 0)
_set("conv2d_groups_negative", "c2", "groups", -2)
_set("conv2d_groups_2_32", "c2", "groups", 1 << 32)
_set("conv2d_groups_forgotten", "c2", "groups", 4)
_set("conv2d_weight_two_dimensional", "c1", "weight.shape", [4, 27])
_set("conv2d_weight_three_dimensional", "c1", "weight.shape", [4, 3, 9])
_set("conv2d_weight_five_dimensional", "c1", "weight.shape", [4, 3, 3, 3, 1])
_set("conv2d_weight_with_a_zero", "c1", "weight.shape", [4, 3, 0, 3])
_set("conv2d_weight_negative", "c1", "weight.shape", [4, -3, -3, 3])
_set("conv2d_weight_dimension_over_2_24", "c1", "weight.shape", [4, 3, 3, (1 << 24) + 1])
_set("conv2d_weight_elements_over_2_31", "c1", "weight.shape", [1 << 20, 3, 1 << 12, 1], "size")
_set("linear_weight_elements_wrap_2_64", "l", "weight.shape", [1 << 24, 1 << 24], "size")
_set("conv2d_weight_elements_wrap_2_64", "c1", "weight.shape", [1 << 20, 1 << 20, 1 << 12, 1 << 12], "size")
_set("conv2d_weight_larger_than_file", "c1", "weight.shape", [4, 3, 1 << 12, 1 << 12], "section")
_set("conv2d_kernel_over_4096", "c1", "weight.shape", [4, 3, 4097, 1])
_set("conv2d_stride_zero", "c1", "stride", [0, 1])
_set("conv2d_stride_negative", "c1", "stride", [1, -1])
_set("conv2d_stride_over_4096", "c1", "stride", [4097, 1])
_set("conv2d_padding_negative", "c1", "padding", [-1, 1])
_set("conv2d_padding_over_4096", "c1", "padding", [4097, 1])
_set("conv2d_padding_2_63", "c1", "padding", [1 << 63, 1])
_set("conv2d_dilation_zero", "c1", "dilation", [0, 1])
_set("conv2d_dilation_over_4096", "c1", "dilation", [1, 4097])
_set("conv2d_window_does_not_fit", "c1", "dilation", [9, 1])
_set("linear_takes_other_features", "l", "weight.shape", [6, 5])
_set("linear_weight_four_dimensional", "l", "weight.shape", [5, 6, 1, 1])
_set("max_pool_kernel_zero", "m", "kernel", [0, 2])
_set("max_pool_kernel_over_4096", "m", "kernel", [4097, 2])
_set("max_pool_padding_of_kernel", "m", "padding", [2, 0])
_set("max_pool_window_does_not_fit", "m", "kernel", [2, 6])
_set("max_pool_stride_zero", "m", "stride", [1, 0])
_set("sum_pool_window_does_not_fit", "p", "kernel", [2, 2])
_set("sum_pool_padding_of_kernel", "p", "padding", [0, 1])
_set("reshape_to_other_positions", "rs", "size", [2, 2])
_set("reshape_to_nothing", "rs", "size", [0, 2])
_set("reshape_negative", "rs", "size", [-1, -2])
_set("reshape_of_one_number", "rs", "size", [2], "node")
_set("reshape_wraps_2_64", "rs", "size", [1 << 24, 1 << 40])
_set("attention_heads_do_not_divide", "at", "heads", 2)
_set("attention_heads_zero", "at", "heads", 0)
_set("attention_heads_2_32", "at", "heads", 1 << 32)
_set("attention_of_two_inputs", "at", "in", ["ln", "gz"], "node")
_set("attention_of_two_shapes", "at", "in", ["ln", "rs", "ln"])
_set("recurrent_weight_of_other_rows", "gu", "weight.shape", [4, 1])
_set("recurrent_weight_four_dimensional", "gu", "weight.shape", [3, 1, 1, 1])
_set("recurrent_weight_wraps_2_64", "gu", "weight.shape", [1 << 24, 1 << 24], "size")
_set("lstm_of_three_gates", "gu", "op", "lstm")
_set("gather_of_nothing", "g", "index", [])
_set("gather_behind_the_last_channel", "g", "index", [0, 3, 1])
_set("gather_negative", "g", "index", [0, -1, 1])
_set("gather_place_2_32", "g", "index", [0, 1 << 32, 1])
_set("gather_place_is_a_float", "g", "index", [0, 1.0, 1], "node")
_set("gather_index_is_a_number", "g", "index", 1, "node")
_set("gather_behind_the_last_position", "gp", "index", [2, 0])
_set("gather_axis_2", "gp", "axis", 2)
_set("gather_axis_default_written", "gz", "axis", 0, "node")
_set("shift_pad_stride_zero", "sp", "stride", 0)
_set("shift_pad_stride_over_4096", "sp", "stride", 4097)
_set("shift_pad_before_negative", "sp", "before", -1)
_set("shift_pad_after_over_2_24", "sp", "after", (1 << 24) + 1)
_set("shift_pad_sum_over_2_24", "sp", "after", 1 << 24)
_set("add_of_two_shapes", "s", "in", ["a2", "input"])
_set("concat_of_two_sizes", "cat", "in", ["m", "rc"])


def _change(name: str, change: Any) -> None:
    add_change(name, change, "shape")


def _insert_before(made: Draft, name: str, node: dict[str, Any]) -> None:
    made.manifest["nodes"].insert(made.manifest["nodes"].index(made.node(name)), node)


def _flatten_twice(made: Draft) -> None:
    _insert_before(made, "q2", {"op": "flatten", "name": "again", "in": ["fl"]})
    made.node("q2")["in"] = ["again"]


def _pool_of_vector(made: Draft) -> None:
    _insert_before(made, "l", {"op": "max_pool", "name": "again", "in": ["q2"], "kernel": [1, 1]})
    made.node("l")["in"] = ["again"]


def _conv_of_vector(made: Draft) -> None:
    made.node("l")["op"] = "conv2d"
    made.node("l")["weight"]["shape"] = [5, 6, 1, 1]


def _linear_of_map(made: Draft) -> None:
    made.node("q2")["in"] = ["cf"]
    made.manifest["nodes"].remove(made.node("fl"))


_change("flatten_of_a_vector", _flatten_twice)
_change("max_pool_of_a_vector", _pool_of_vector)
_change("conv2d_of_a_vector", _conv_of_vector)
_change("linear_of_a_map", _linear_of_map)
