"""Defects of the manifest as a text and at its top level."""

from __future__ import annotations

from typing import Any

from support.drafts import Draft, dump, padded
from support.twin import twin_bytes

from ._case import Case, add, draft, text


def _text(name: str, change: Any, *kinds: str) -> None:
    def apply(manifest: bytes) -> bytes:
        return change(manifest)

    apply.__name__ = name
    text(*(kinds or ("manifest",)))(apply)


def _first(old: bytes, new: bytes) -> Any:
    return lambda manifest: manifest.replace(old, new, 1)


_text("manifest_is_empty", lambda manifest: b"")
_text("manifest_is_binary", lambda manifest: b"\x80\x02" + manifest)
_text("manifest_cut", lambda manifest: manifest[:-1])
_text("manifest_twice", lambda manifest: manifest + manifest)
_text("manifest_is_a_list", lambda manifest: b"[" + manifest + b"]")
_text("manifest_is_a_string", lambda manifest: b'"x"')
_text("manifest_is_null", lambda manifest: b"null")
_text("manifest_is_deep_lists", lambda manifest: b"[" * 100_000)
_text("manifest_is_deep_objects", lambda manifest: b'{"a":' * 100_000)
_text("manifest_metadata_is_deep", _first(b'"lr":0.1', b'"lr":' + b"[" * 5000 + b"]" * 5000))
_text("manifest_has_a_space", _first(b'"name":', b'"name": '))
_text("manifest_starts_with_a_space", lambda manifest: b" " + manifest)
_text("manifest_starts_with_byte_order_mark", lambda manifest: b"\xef\xbb\xbf" + manifest)
_text("manifest_has_a_newline", lambda manifest: manifest + b"\n")
_text("manifest_has_a_tab_inside", _first(b",", b",\t"))
_text("manifest_ends_with_nul", lambda manifest: manifest + b"\0")
_text("manifest_has_a_comment", _first(b",", b",/* */"))
_text("manifest_has_a_trailing_comma", _first(b'"output":"out"', b'"output":"out",'))
_text("manifest_single_quotes", _first(b'"output"', b"'output'"))
_text("manifest_keys_not_sorted", _first(b'"input":{"shape":[3,6,5]},', b""))
_text("manifest_duplicate_key", _first(b'"output":', b'"output":"out","output":'))
_text("manifest_duplicate_key_in_node", _first(b'"name":"q",', b'"name":"q","name":"q",'))
_text("manifest_duplicate_key_by_escape", _first(b'"name":"q",', b'"n\\u0061me":"q","name":"q",'))
_text("manifest_escape_of_a_letter", _first(b'"output":"out"', b'"output":"\\u006fut"'))
_text("manifest_escape_of_a_slash", _first(b'"kompakt 0.1"', b'"kompakt\\/0.1"'))
_text("manifest_escape_unknown", _first(b'"kompakt 0.1"', b'"kompakt\\x0.1"'))
_text("manifest_escape_cut", _first(b'"kompakt 0.1"', b'"kompakt\\u00"'))
_text("manifest_escape_of_carriage_return", _first(b'"kompakt 0.1"', b'"kompakt\\r"'))
_text("manifest_escape_of_newline_as_number", _first(b'"kompakt 0.1"', b'"kompakt\\u000a"'))
_text("manifest_lone_surrogate", _first(b'"kompakt 0.1"', b'"\\ud800"'))
_text("manifest_surrogate_pair", _first(b'"kompakt 0.1"', b'"\\ud83d\\ude00"'))
_text("manifest_text_beyond_ascii_escaped", _first(b'"kompakt 0.1"', b'"\\u00fc"'))
_text("manifest_text_beyond_ascii_raw", _first(b'"kompakt 0.1"', '"ü"'.encode()))
_text("manifest_control_character_raw", _first(b'"kompakt 0.1"', b'"a\x01b"'))
_text("manifest_newline_raw", _first(b'"kompakt 0.1"', b'"a\nb"'))
_text("manifest_delete_character", _first(b'"kompakt 0.1"', b'"a\x7fb"'))
_text("manifest_string_open", lambda manifest: manifest[:-2])
_text("number_nan", _first(b'"inv_step":16.5', b'"inv_step":NaN'))
_text("number_infinity", _first(b'"hi":6.0', b'"hi":Infinity'))
_text("number_minus_infinity", _first(b'"lo":-1.5', b'"lo":-Infinity'))
_text("number_beyond_double", _first(b'"inv_step":16.5', b'"inv_step":1e999'))
_text("number_with_leading_zero", _first(b'"inv_step":16.5', b'"inv_step":016.5'))
_text("number_with_plus", _first(b'"inv_step":16.5', b'"inv_step":+16.5'))
_text("number_without_fraction", _first(b'"inv_step":16.5', b'"inv_step":16.'))
_text("number_without_integer_part", _first(b'"lr":0.1', b'"lr":.1'))
_text("number_with_trailing_zero", _first(b'"inv_step":16.5', b'"inv_step":16.50'), "manifest", "node")
_text("number_with_exponent", _first(b'"inv_step":16.5', b'"inv_step":1.65e1'), "manifest", "node")
_text("number_with_capital_exponent", _first(b'"lr":0.1', b'"lr":1E-01'))
_text("number_of_a_hundred_digits", _first(b'"inv_step":16.5', b'"inv_step":16.5' + b"0" * 100), "manifest", "node")
_text("number_of_a_million_digits", _first(b'"seed":7', b'"seed":' + b"7" * 1_000_000))
_text("number_hexadecimal", _first(b'"seed":7', b'"seed":0x7'))
_text("number_minus_zero_integer", _first(b'"padding":[1,1]', b'"padding":[1,-0]'), "manifest", "node")
_text("metadata_number_not_shortest", _first(b'"lr":0.1', b'"lr":0.10000000000000001'))
_text("metadata_number_beyond_2_53", _first(b'"seed":7', b'"seed":9007199254740993'))
_text("metadata_number_beyond_double", _first(b'"lr":0.1', b'"lr":1e309'))
_text("metadata_value_null", _first(b'"lr":0.1', b'"lr":null'))
_text("metadata_value_true", _first(b'"lr":0.1', b'"lr":true'))
_text("metadata_value_list", _first(b'"lr":0.1', b'"lr":[0.1]'))
_text("metadata_value_object", _first(b'"lr":0.1', b'"lr":{}'))
_text("metadata_key_empty", _first(b'"library"', b'""'))
_text("metadata_key_too_long", _first(b'"library"', b'"' + b"a" * 101 + b'"'))
_text("metadata_keys_not_sorted", _first(b'"lr":0.1,"seed":7', b'"seed":7,"lr":0.1'))


def _padding(name: str, change: Any) -> None:
    def make(seed: int) -> bytes:
        made = Draft(twin_bytes(seed))
        return made.with_manifest(change(dump(made.manifest)))

    add(Case(name, ("manifest",), make))


_padding("manifest_not_padded", lambda manifest: manifest + b" " * (-len(manifest) % 64 - 1))
_padding("manifest_padded_too_far", lambda manifest: padded(manifest) + b" " * 64)
_padding("manifest_padded_with_newlines", lambda manifest: manifest + b"\n" * (-len(manifest) % 64))
_padding("manifest_padded_with_nul", lambda manifest: manifest + b"\0" * (-len(manifest) % 64))


@draft("manifest")
def manifest_extra_key(made: Draft) -> None:
    made.manifest["extra"] = 1


@draft("manifest")
def manifest_without_output(made: Draft) -> None:
    del made.manifest["output"]


@draft("manifest")
def manifest_without_metadata(made: Draft) -> None:
    del made.manifest["metadata"]


@draft("manifest")
def manifest_without_nodes(made: Draft) -> None:
    del made.manifest["nodes"]


@draft("manifest")
def manifest_without_input(made: Draft) -> None:
    del made.manifest["input"]


@draft("manifest")
def manifest_nodes_is_an_object(made: Draft) -> None:
    made.manifest["nodes"] = {node["name"]: node for node in made.manifest["nodes"]}


@draft("manifest")
def manifest_metadata_is_a_list(made: Draft) -> None:
    made.manifest["metadata"] = ["x"]


@draft("manifest")
def manifest_metadata_is_null(made: Draft) -> None:
    made.manifest["metadata"] = None


@draft("manifest", "node")
def manifest_output_is_a_number(made: Draft) -> None:
    made.manifest["output"] = 19


@draft("manifest")
def manifest_input_is_a_list(made: Draft) -> None:
    made.manifest["input"] = [3, 6, 5]


@draft("manifest")
def manifest_input_extra_key(made: Draft) -> None:
    made.manifest["input"]["kind"] = "f32"


@draft("manifest", "shape")
def manifest_input_shape_is_a_number(made: Draft) -> None:
    made.manifest["input"]["shape"] = 90


def _manifest_over_limit(seed: int) -> bytes:
    made = Draft(twin_bytes(seed))
    made.manifest["metadata"]["note"] = "x" * (16 << 20)
    return made.to_bytes()


add(Case("manifest_over_16_mib", ("size",), _manifest_over_limit, is_large=True))
