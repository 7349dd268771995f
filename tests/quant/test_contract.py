"""Every row of the table of methods, at every bit-width, sign and grain, keeps the contract of quantizers."""

from __future__ import annotations

import pytest

from kompakt.quant import METHODS
from kompakt.testing import CLAIMS, QuantizerContract, quantizer_cases

CASES = {
    f"{name}-{case.bits}-{'signed' if case.signed else 'unsigned'}-{'act' if case.sample_axis else 'weight'}": case
    for name, parts in METHODS.items()
    for case in quantizer_cases(parts)
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


class TestQuantizers(QuantizerContract):
    """Every clause on every case."""


def test_every_method_claims_only_what_is_checked():
    assert all(parts.claims <= set(CLAIMS) for parts in METHODS.values())


def test_methods_are_named_in_lower_case():
    assert all(name == name.lower() and name.isidentifier() for name in METHODS)
