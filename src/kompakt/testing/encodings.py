"""The contract of encodings: codes, levels and packed bytes."""

from __future__ import annotations

import numpy as np

from ..encoding import Encoding, levels, pack, unpack
from .contract import run_clauses

LENGTHS = (0, 1, 7, 8, 63, 64, 65, 130)


class EncodingContract:
    """Inherit and give a fixture `case`: an encoding."""

    def test_the_table_has_one_level_for_every_code(self, case: Encoding) -> None:
        table = case.table()
        assert table.shape == (case.grains, 2**case.bits), f"table has shape {table.shape}"
        assert table.dtype == np.int16, f"levels are {table.dtype}"

    def test_levels_look_codes_up_in_the_table(self, case: Encoding) -> None:
        codes = _codes(case, 33)
        found = levels(codes, case)
        expected = case.table()[np.arange(len(codes)) % case.grains][np.arange(len(codes))[:, None], codes]
        assert np.array_equal(found, expected), "levels differ from the table"

    def test_packing_is_reversible(self, case: Encoding) -> None:
        for length in LENGTHS:
            codes = _codes(case, length)
            packed = pack(codes, case)
            assert np.array_equal(unpack(packed, codes.shape, case), codes), f"{length} codes per row do not come back"

    def test_equal_encodings_have_equal_hashes(self, case: Encoding) -> None:
        assert case == case
        assert hash(case) == hash(case)


def check_encoding(encoding: Encoding) -> None:
    """Run the contract. Raises: AssertionError naming the broken clause."""
    run_clauses(EncodingContract(), encoding)


def _codes(encoding: Encoding, length: int) -> np.ndarray:
    """Random codes, one row per grain (three rows for one grain)."""
    rows = encoding.grains if encoding.grains > 1 else 3
    return np.random.default_rng(length).integers(0, 2**encoding.bits, (rows, length), dtype=np.uint8)
