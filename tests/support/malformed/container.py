"""Defects of the container: lengths, header, sections, digests."""

from __future__ import annotations

import struct
from typing import Any

from support.drafts import Draft, container, dump, padded, sha256, split_parts, with_header
from support.twin import twin_bytes

from ._case import Case, add, parts, raw


@raw("truncated")
def file_empty(data: bytes) -> bytes:
    return b""


@raw("truncated")
def file_of_seven_bytes(data: bytes) -> bytes:
    return data[:7]


@raw("truncated")
def file_of_a_length_only(data: bytes) -> bytes:
    return data[:8]


@raw("truncated")
def file_ends_in_header(data: bytes) -> bytes:
    return data[:300]


@raw("truncated")
def file_ends_after_header(data: bytes) -> bytes:
    return data[: 8 + struct.unpack("<Q", data[:8])[0]]


@raw("truncated")
def file_lacks_last_byte(data: bytes) -> bytes:
    return data[:-1]


@raw("size")
def file_has_a_byte_more(data: bytes) -> bytes:
    return data + b"\0"


@raw("size")
def file_twice(data: bytes) -> bytes:
    return data + data


@raw("header")
def header_length_zero(data: bytes) -> bytes:
    return struct.pack("<Q", 0) + data[8:]


for _name, _length in (
    ("4097", 4097),
    ("2_63", 1 << 63),
    ("2_64_minus_8", (1 << 64) - 8),
    ("2_64_minus_1", (1 << 64) - 1),
):
    add(Case(f"header_length_{_name}", ("size",), lambda seed, n=_length: struct.pack("<Q", n) + twin_bytes(seed)[8:]))


@raw("header")
def header_length_one_less(data: bytes) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    return struct.pack("<Q", length - 1) + data[8 : 8 + length - 1] + data[8 + length :]


@raw("header")
def header_starts_with_byte_order_mark(data: bytes) -> bytes:
    text, sections = split_parts(data)
    return with_header(padded(b"\xef\xbb\xbf" + text.rstrip(), 8), sections)


def _header_text(name: str, change: Any, kinds: tuple[str, ...] = ("header",)) -> None:
    def make(seed: int) -> bytes:
        text, sections = split_parts(twin_bytes(seed))
        changed = change(text.rstrip(b" "))
        assert changed != text.rstrip(b" "), name
        return with_header(padded(changed, 8), sections)

    add(Case(name, kinds, make))


_header_text("header_is_no_json", lambda text: text[:-1])
_header_text("header_is_binary", lambda text: b"\x93NUMPY\x01\x00" + text)
_header_text("header_is_a_list", lambda text: b"[" + text + b"]")
_header_text("header_is_a_number", lambda text: b"1")
_header_text("header_is_null", lambda text: b"null")
_header_text("header_is_deep", lambda text: b"[" * 1500 + b"]" * 1500)
_header_text("header_has_a_space_inside", lambda text: text.replace(b'":{', b'": {', 1))
_header_text("header_starts_with_a_space", lambda text: b" " + text)
_header_text("header_has_a_nul", lambda text: text + b"\0")
_header_text("header_has_a_newline", lambda text: text + b"\n")
_header_text("header_has_a_comment", lambda text: text + b"/**/")
_header_text("header_has_a_trailing_comma", lambda text: text[:-1] + b",}")
_header_text("header_duplicate_section", lambda text: text[:-1] + b"," + text[text.index(b'"codes"') :])
_header_text("header_duplicate_metadata", lambda text: text[:-1] + b"," + text[1 : text.index(b',"manifest"')] + b"}")
_header_text("header_with_an_escape", lambda text: text.replace(b'"codes"', b'"c\\u006fdes"'))
_header_text("header_number_with_a_point", lambda text: text.replace(b"[0,", b"[0.0,"), ("header", "section"))
_header_text("header_number_with_a_minus", lambda text: text.replace(b"[0,", b"[-0,"), ("header", "section"))
_header_text("header_number_with_a_zero", lambda text: text.replace(b"[0,", b"[00,"))


@parts("header")
def header_has_64_spaces_more(text: bytes, sections: dict[str, bytes]) -> bytes:
    return with_header(text + b" " * 64, sections)


@parts("header")
def header_padded_with_newlines(text: bytes, sections: dict[str, bytes]) -> bytes:
    bare = text.rstrip(b" ")
    return with_header(bare + b"\n" * (-(8 + len(bare)) % 64 or 64), sections)


# A reader may see a wrong form of the header before it asks what the form is about.
_FORM = ("section", "header")


def _change(name: str, kinds: tuple[str, ...], change: Any, sort_keys: bool = False) -> None:
    def make(seed: int) -> bytes:
        return container(split_parts(twin_bytes(seed))[1], change, sort_keys)

    add(Case(name, kinds, make))


def _edit(section: str, **values: Any) -> Any:
    return lambda content: content[section].update(values)


def _about(**values: Any) -> Any:
    return _edit("__metadata__", **values)


def _swap(content: dict[str, Any]) -> dict[str, Any]:
    names = list(content)
    names[2], names[3] = names[3], names[2]
    return {name: content[name] for name in names}


def _move(section: str, begin: int, end: int) -> Any:
    def change(content: dict[str, Any]) -> None:
        offsets = content[section]["data_offsets"]
        content[section]["data_offsets"] = [offsets[0] + begin, offsets[1] + end]

    return change


_change("header_without_metadata", ("header",), lambda content: content.pop("__metadata__") and None)
_change("header_metadata_is_text", ("header",), lambda content: {**content, "__metadata__": "kompakt"})
_change("header_metadata_extra_key", ("header",), _about(note="x"))
_change("header_metadata_without_digest", ("header",), lambda content: content["__metadata__"].pop("sha256") and None)
_change("header_digest_is_a_number", ("header",), _about(sha256=7))
_change("header_keys_sorted", ("header",), lambda content: None, sort_keys=True)
_change("header_sections_in_another_order", ("header", "section"), _swap)
_change("version_two", ("version",), _about(version="2"))
_change("version_zero", ("version",), _about(version="0"))
_change("version_with_a_point", ("version",), _about(version="1.0"))
_change("version_is_a_number", ("version", "header"), _about(version=1))
_change("version_missing", ("version", "header"), lambda content: content["__metadata__"].pop("version") and None)
_change("format_is_another", ("version",), _about(format="gguf"))
_change("format_of_pytorch", ("version",), _about(format="pt"))
_change("digest_of_manifest_is_zero", ("digest",), _about(sha256="0" * 64))
_change("digest_of_manifest_is_short", ("digest", "header"), _about(sha256="0" * 63))
_change("digest_of_manifest_is_empty", ("digest", "header"), _about(sha256=""))
_change("section_missing", _FORM, lambda content: content.pop("directions") and None)
_change("section_unknown", _FORM, lambda content: content.update(extra=dict(content["directions"])))
_change("section_is_a_list", _FORM, lambda content: content.update(codes=[]))
_change("section_extra_key", _FORM, _edit("codes", note=1))
_change("section_without_shape", _FORM, lambda content: content["codes"].pop("shape") and None)
_change("section_dtype_of_another", ("section",), _edit("codes", dtype="I8"))
_change("section_dtype_unknown", ("section",), _edit("codes", dtype="U4"))
_change("section_dtype_lower_case", ("section",), _edit("codes", dtype="u8"))
_change("section_shape_two_dimensional", _FORM, lambda c: c["codes"].update(shape=[1, *c["codes"]["shape"]]))
_change("section_shape_scalar", _FORM, _edit("codes", shape=[]))
_change("section_shape_one_less", ("section",), lambda c: c["codes"].update(shape=[c["codes"]["shape"][0] - 1]))
_change("section_shape_negative", _FORM, _edit("codes", shape=[-1]))
_change("section_shape_is_a_float", _FORM, lambda c: c["codes"].update(shape=[float(c["codes"]["shape"][0])]))
_change("section_shape_is_true", _FORM, _edit("codes", shape=[True]))
_change("section_shape_2_62_floats", ("section",), _edit("floats", shape=[1 << 62], data_offsets=[0, 0]))
_change("section_shape_2_64", ("section", "header"), _edit("codes", shape=[1 << 64]))
_change("section_offsets_from_one", ("section",), _move("manifest", 1, 0))
_change("section_offsets_leave_a_hole", ("section",), _move("codes", 1, 1))
_change("section_offsets_overlap", ("section",), _move("codes", -1, -1))
_change("section_offsets_descend", ("section",), lambda c: c["codes"]["data_offsets"].reverse())
_change("section_offsets_three", _FORM, lambda c: c["codes"]["data_offsets"].append(0))
_change("section_offsets_negative", _FORM, _edit("codes", data_offsets=[-64, 0]))
_change("section_offsets_wrap", ("section", "header"), _edit("codes", shape=[(1 << 64) - 1], data_offsets=[64, 63]))
_change("section_begins_at_2_63", ("section", "header"), _edit("directions", data_offsets=[1 << 63, 1 << 63]))


def _claim(size: int) -> Any:
    """The last section claims `size` bytes."""

    def change(content: dict[str, Any]) -> None:
        begin = content["directions"]["data_offsets"][0]
        content["directions"].update(shape=[size], data_offsets=[begin, begin + size])

    return change


_change("section_claims_a_terabyte", ("truncated", "section", "size"), _claim(1 << 40))
_change("section_claims_2_62", ("truncated", "section", "size"), _claim(1 << 62))
_change("section_claims_a_byte_more", ("truncated",), lambda c: _claim(c["directions"]["shape"][0] + 1)(c))
_change("section_claims_a_byte_less", ("size",), lambda c: _claim(c["directions"]["shape"][0] - 1)(c))


def _resized(name: str, section: str, change: Any) -> None:
    """A section whose length is legal for the container, but is not what the nodes need."""

    def make(seed: int) -> bytes:
        draft = Draft(twin_bytes(seed))
        draft.sections[section] = bytearray(change(bytes(draft.sections[section])))
        return draft.to_bytes()

    add(Case(name, ("section",), make))


for _section, _width in (("codes", 1), ("bases", 1), ("floats", 4), ("thresholds", 4), ("directions", 1)):
    _resized(f"section_{_section}_too_long", _section, lambda data, w=_width: data + b"\0" * w)
    _resized(f"section_{_section}_too_short", _section, lambda data, w=_width: data[:-w])
    _resized(f"section_{_section}_missing_content", _section, lambda data: b"")


@parts("section")
def section_floats_ends_inside_a_float(text: bytes, sections: dict[str, bytes]) -> bytes:
    sections["floats"] += b"\0\0"

    def keep_whole(content: dict[str, Any]) -> None:
        content["floats"]["shape"] = [len(sections["floats"]) // 4]

    return container(sections, keep_whole)


def _damaged(section: str) -> None:
    def make(seed: int) -> bytes:
        sections = split_parts(twin_bytes(seed))[1]
        damaged = bytearray(sections[section])
        damaged[seed % len(damaged)] ^= 1 << (seed % 8)
        sections[section] = bytes(damaged)
        text = split_parts(twin_bytes(seed))[0]
        return with_header(text, sections)

    add(Case(f"digest_of_{section}_differs", ("digest",), make))


for _section in ("manifest", "codes", "bases", "floats", "thresholds", "directions"):
    _damaged(_section)


def _digests(name: str, kinds: tuple[str, ...], change: Any) -> None:
    def make(seed: int) -> bytes:
        draft = Draft(twin_bytes(seed))
        digests = draft.manifest["digests"]
        draft.manifest["digests"] = change(digests) or digests
        return draft.with_manifest(padded(dump(draft.manifest)))

    add(Case(name, kinds, make))


_digests("digest_upper_case", ("digest", "manifest"), lambda d: {**d, "codes": d["codes"].upper()})
_digests("digest_of_another_section", ("digest",), lambda d: {**d, "codes": d["bases"]})
_digests("digest_is_null", ("digest", "manifest"), lambda d: {**d, "codes": None})
_digests("digest_of_nothing", ("digest",), lambda d: {**d, "codes": sha256(b"")})
_digests("digest_missing", ("manifest",), lambda d: d.pop("codes") and None)
_digests("digest_of_unknown_section", ("manifest",), lambda d: {**d, "extra": d["codes"]})
_digests("digests_is_a_list", ("manifest",), lambda d: list(d))
