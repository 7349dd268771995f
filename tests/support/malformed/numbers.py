"""Defects of encodings and numbers, and sums that could overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kompakt.artifact import Node, Program, Weight, to_bytes
from kompakt.encoding import Affine
from support.drafts import Draft

from ._case import Case, add, add_change, attribute


def _encoding(name: str, node: str, key: str, value: Any) -> None:
    attribute("encoding", name, node, key, value)


def _value(name: str, node: str, key: str, value: Any) -> None:
    attribute("value", name, node, key, value)


def _change(kind: str, name: str, change: Callable[[Draft], Any]) -> None:
    add_change(name, change, kind)


_encoding("recurrent_state_of_planes", "gu", "encoding", {"bits": 1, "kind": "planes", "basis": [1]})
_value("recurrent_inv_step_zero", "gu", "inv_step", 0.0)
_value("unary_function_unknown", "u", "function", "softplus")
attribute("node", "unary_function_is_a_number", "u", "function", 1)
_value("layer_norm_eps_zero", "ln", "eps", 0.0)
_value("layer_norm_eps_negative", "ln", "eps", -0.25)
attribute("node", "layer_norm_eps_is_an_integer", "ln", "eps", 1)
_value("attention_scale_zero", "at", "scale", 0.0)
_value("attention_scale_not_float32", "at", "scale", 0.1)
_encoding("encoding_bits_zero", "q", "encoding.bits", 0)
_encoding("encoding_bits_nine", "q", "encoding.bits", 9)
_encoding("encoding_bits_negative", "q", "encoding.bits", -8)
_encoding("encoding_bits_2_40", "q", "encoding.bits", 1 << 40)
_encoding("encoding_kind_unknown", "q", "encoding.kind", "nf4")
_encoding("encoding_kind_float", "q", "encoding.kind", "float")
_encoding("quantize_with_planes", "q", "encoding", {"bits": 1, "kind": "planes", "basis": [1]})
_encoding("encoding_basis_too_short", "t1", "encoding.basis", [1])
_encoding("encoding_basis_too_long", "t1", "encoding.basis", [1, 2, 4])
_encoding("encoding_basis_all_zero", "t1", "encoding.basis", [0, 0])
_encoding("encoding_basis_beyond_levels", "t1", "encoding.basis", [200, 100])
_encoding("encoding_basis_below_levels", "t1", "encoding.basis", [-100, -100])
_encoding("encoding_basis_2_40", "t1", "encoding.basis", [1 << 40, 1])
_encoding("encoding_digits_unknown", "t1", "encoding.digits", "pm1")
_encoding("encoding_levels_too_few", "e", "encoding.levels", [0, 1, 3])
_encoding("encoding_levels_too_many", "e", "encoding.levels", [0, 1, 3, 9, 27])
_encoding("encoding_level_256", "e", "encoding.levels", [0, 1, 3, 256])
_encoding("encoding_level_minus_129", "e", "encoding.levels", [-129, 1, 3, 9])
_encoding("encode_thresholds_too_few", "e", "thresholds", [0.5, 1.5])
_encoding("encode_thresholds_too_many", "e", "thresholds", [0.5, 1.5, 2.5, 3.5])
_encoding("recode_thresholds_too_few", "rc", "thresholds", [1, 2])
_encoding("concat_of_two_encodings", "cat", "in", ["rc", "e"])
_encoding("weight_bits_zero", "c1", "weight.bits", 0)
_encoding("weight_bits_nine", "c1", "weight.bits", 9)
_encoding("weight_bits_2_31", "c2", "weight.bits", 1 << 31)
_encoding("weight_kind_unknown", "c1", "weight.kind", "plane")
_encoding("weight_kind_empty", "c1", "weight.kind", "")
_encoding("weight_grain_unknown", "c1", "weight.grain", "group")
_encoding("weight_digits_unknown", "c1", "weight.digits", "1")


def _unsigned_eight_bits(made: Draft) -> None:
    """The levels of the linear weight would reach 255."""
    made.node("l")["weight"].update(bits=8)
    del made.node("l")["weight"]["signed"]
    made.sections["codes"][-19:] = bytes(30)


def _minus_128(made: Draft) -> None:
    made.node("l")["weight"].update(bits=8)
    made.sections["codes"][-19:] = bytes(29) + b"\x80"


def _concat_signed(made: Draft) -> None:
    made.node("rc")["encoding"] = {"bits": 2, "kind": "planes", "basis": [1, 3], "digits": "pm"}


_change("encoding", "weight_unsigned_eight_bits", _unsigned_eight_bits)
_change("value", "weight_code_of_minus_128", _minus_128)
_change("encoding", "shift_pad_without_a_code_of_zero", _concat_signed)
_change("encoding", "weight_basis_all_zero", lambda made: made.array("bases", np.int8).__setitem__(slice(3, 6), 0))
_change("encoding", "weight_basis_beyond_127", lambda made: made.array("bases", np.int8).__setitem__(slice(0, 3), 100))
_change("encoding", "weight_table_of_minus_128", lambda made: made.array("bases", np.int8).__setitem__(-1, -128))

_SUBNORMAL = float(np.float32(1e-40))
for _name, _number in (
    ("zero", 0.0),
    ("minus_zero", -0.0),
    ("negative", -16.5),
    ("subnormal", _SUBNORMAL),
    ("no_float32", 0.1),
    ("beyond_float32", 1e39),
    ("half_step_beyond_float32", 3.4028235677973366e38),
    ("below_float32", 1e-60),
):
    _value(f"inv_step_{_name}", "q", "inv_step", _number)
    _value(f"scale_{_name}", "d1", "scale", _number)

_value("clamp_lo_minus_zero", "r", "lo", -0.0)
_value("clamp_hi_minus_zero", "r", "hi", -0.0)
_value("clamp_lo_above_hi", "r", "lo", 6.5)
_value("clamp_hi_no_float32", "r", "hi", 6.1)
_value("encode_thresholds_equal", "e", "thresholds", [0.5, 0.5, 1.0])
_value("encode_thresholds_descend", "e", "thresholds", [0.5, 2.0, 1.0])
_value("encode_threshold_no_float32", "e", "thresholds", [0.1, 2.0, 3.0])
_value("encode_threshold_minus_zero", "e", "thresholds", [-0.0, 2.0, 3.0])
_value("encode_threshold_beyond_float32", "e", "thresholds", [1.0, 2.0, 1e39])
_value("recode_thresholds_descend", "rc", "thresholds", [2, 1, 3])
_value("recode_threshold_2_31", "rc", "thresholds", [1, 2, 1 << 31])
_value("recode_threshold_below", "rc", "thresholds", [-(1 << 31) - 1, 2, 3])
_value("codes_twice", "t1", "codes", [0, 2, 2, 3])
_value("codes_too_large", "t1", "codes", [0, 2, 1, 4])
_value("codes_negative", "t1", "codes", [0, 2, 1, -3])
_value("codes_256", "t1", "codes", [0, 2, 1, 256])
_value("codes_too_few", "t1", "codes", [0, 2, 1])
_value("codes_too_many", "t1", "codes", [0, 2, 1, 3, 4])
_value("codes_empty", "t1", "codes", [])


def _put(section: str, dtype: Any, index: Any, value: Any) -> Callable[[Draft], Any]:
    return lambda made: made.array(section, dtype).__setitem__(index, value)


_change("value", "affine_multiplier_nan", _put("floats", "<f4", 0, np.nan))
_change("value", "affine_multiplier_infinite", _put("floats", "<f4", 3, np.inf))
_change("value", "affine_offset_nan", _put("floats", "<f4", 4, np.nan))
_change("value", "affine_offset_minus_infinite", _put("floats", "<f4", 7, -np.inf))
_change("value", "float_weight_nan", _put("floats", "<f4", 30, np.nan))
_change("value", "float_weight_infinite", _put("floats", "<f4", 62, np.inf))
_change("value", "float_weight_signalling_nan", _put("floats", "<u4", 40, 0x7F800001))
_change("value", "last_offset_nan", _put("floats", "<f4", -1, np.nan))
_change("value", "direction_zero", _put("directions", np.int8, 1, 0))
_change("value", "direction_two", _put("directions", np.int8, 0, 2))
_change("value", "direction_minus_two", _put("directions", np.int8, 1, -2))
_change("value", "thresholds_descend", _put("thresholds", "<i4", 1, -6))
_change("value", "thresholds_ascend_where_reversed", _put("thresholds", "<i4", 4, 10))
# Shifts of rq behind the 4 directions of t1: 2 x 4 left, 4 right; its 4 biases are behind the 12 thresholds of t1.
_change("value", "shift_left_negative", _put("directions", np.int8, 4, -1))
_change("value", "shift_of_addend_31", _put("directions", np.int8, 11, 31))
_change("value", "shift_right_31", _put("directions", np.int8, 12, 31))
_change("value", "shift_right_negative", _put("directions", np.int8, 15, -128))
_change("overflow_risk", "overflow_of_aligned_sums", _put("directions", np.int8, 5, 30))
_change("overflow_risk", "overflow_of_aligned_codes", _put("directions", np.int8, 9, 30))
_change("overflow_risk", "overflow_of_bias", _put("thresholds", "<i4", 12, -(1 << 31)))
_change("overflow_risk", "overflow_of_last_bias", _put("thresholds", "<i4", 15, (1 << 31) - 1))
_change("value", "direction_of_another_row", _put("directions", np.int8, 0, -1))
# c1: 3 planes of 108 bits in 14 bytes each, 4 bits unused; then c2; then l: 150 bits in 19 bytes, 2 unused.
_change("value", "unused_bit_of_first_plane", _put("codes", np.uint8, 13, 0x10))
_change("value", "unused_bit_of_last_plane", _put("codes", np.uint8, 41, 0x80))
_change("value", "unused_bit_of_bit_stream", _put("codes", np.uint8, -1, 0x40))


def _linear(magnitudes: np.ndarray) -> bytes:
    """A linear layer over signed 8-bit codes (levels to 128) with these magnitudes of weight."""
    weight = Weight(np.asarray(magnitudes, np.uint8)[None], Affine(8, signed=True))
    ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(8, signed=True), "inv_step": 1.0}),
        Node("linear", "l", ("q",), {"weight": weight}),
        Node("affine", "out", ("l",), {"m": ones, "b": zeros}),
    )
    return to_bytes(Program(weight.shape[1:], nodes, "out"))


def _at_the_limit(seed: int) -> bytes:
    """Sums of weight magnitudes just below 2^24: 2^24 - 1 times 128 is below 2^31."""
    magnitudes = np.full(132105, 127)
    magnitudes[seed] -= int(magnitudes.sum()) - ((1 << 24) - 1)
    return _linear(magnitudes)


def _above_the_limit(seed: int) -> bytes:
    """One unit of weight more: 2^24 times 128 is 2^31."""
    draft = Draft(_at_the_limit(seed))
    codes = draft.array("codes", np.uint8)
    codes[seed] += 1
    return draft.to_bytes()


def _pool_at_the_limit(seed: int) -> bytes:
    """A window of 8421504 codes of level 255 sums to less than 2^31."""
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(8), "inv_step": 1.0}),
        Node("sum_pool", "p", ("q",)),
        Node("affine", "out", ("p",), {"m": np.ones(1, np.float32), "b": np.zeros(1, np.float32)}),
    )
    return to_bytes(Program((1, 2048, 4112), nodes, "out"))


def _pool_above_the_limit(seed: int) -> bytes:
    draft = Draft(_pool_at_the_limit(seed))
    draft.manifest["input"]["shape"] = [1, 2049, 4112]
    return draft.to_bytes()


add(Case("overflow_of_linear", ("overflow_risk",), _above_the_limit, _at_the_limit, is_large=True))
add(Case("overflow_of_sum_pool", ("overflow_risk",), _pool_above_the_limit, _pool_at_the_limit))
