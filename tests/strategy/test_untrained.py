"""Networks packed without training: the bits that were asked for, and an output near that of the float network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt._core.errors import RecipeError
from kompakt.artifact import from_bytes
from kompakt.engine import load, run_reference
from kompakt.measure import layer_costs
from kompakt.strategy.sources import ModelSource, load_model
from kompakt.strategy.untrained import BitWord, pack_untrained
from kompakt.zoo import DigitsNet, noise
from kompakt.zoo.nets import with_statistics

IMAGES = noise((1, 8, 8), 32)


@pytest.fixture(scope="module")
def source() -> ModelSource:
    torch.manual_seed(0)
    return ModelSource(with_statistics(DigitsNet(8), IMAGES), "digits")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("w2a2", (2, 2, None)), ("W1A1", (1, 1, None)), ("w4a8", (4, 8, None)), ("w2a32", (2, None, None)),
     ("w2a2-lq", (2, 2, "lq_nets")), ("w3a3-lsq", (3, 3, "lsq"))],
)  # fmt: skip
def test_words(word: str, expected: tuple) -> None:
    parsed = BitWord.parse(word)
    assert (parsed.weights, parsed.activations, parsed.method) == expected


@pytest.mark.parametrize("word", ["", "w2", "w0a2", "w2a9", "w9a2", "w2a2-best", "2", "w2a2 w4a4"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(RecipeError, match="bits: expected a word such as w2a2"):
        BitWord.parse(word)


@pytest.mark.parametrize("word", ["w1a2-lsq", "w8a8-lq"])
def test_bits_that_a_method_lacks_are_refused(word: str) -> None:
    with pytest.raises(RecipeError, match="method"):
        BitWord.parse(word)


@pytest.mark.parametrize(
    ("word", "inner", "least_db"),
    [("w8a8", (8, 8), 25), ("w4a8", (4, 8), 8), ("w2a8-lq", (2, 8), 3), ("w2a2-lq", (2, 2), 0), ("w1a1", (1, 1), -3)],
)
def test_a_file_has_the_bits_of_its_word(source: ModelSource, word: str, inner: tuple, least_db: float) -> None:
    data = pack_untrained(source, IMAGES, BitWord.parse(word))
    program, metadata = from_bytes(data)
    bits = [(cost.weight_bits, cost.activation_bits) for cost in layer_costs(program)]
    assert bits == [(8, 8), *[inner] * 3, (8, 8)]
    assert metadata["training"] == "none"
    found = load(data)(IMAGES)
    np.testing.assert_array_equal(found, run_reference(program, IMAGES))
    with torch.no_grad():
        expected = source.module(torch.from_numpy(IMAGES)).numpy()
    assert 10 * np.log10(np.sum(expected**2) / np.sum((expected - found) ** 2)) > least_db


def test_networks_of_linear_layers_have_the_same_bits_everywhere() -> None:
    net = load_model("zoo:lenet_300_100")
    assert not net.is_trained
    program, _ = from_bytes(pack_untrained(net, noise((784,), 16), BitWord.parse("w2a8")))
    assert [(cost.weight_bits, cost.activation_bits) for cost in layer_costs(program)] == [(2, 8)] * 3


def test_float_activations_stay_float(source: ModelSource) -> None:
    program, _ = from_bytes(pack_untrained(source, IMAGES, BitWord.parse("w2a32")))
    assert not [node for node in program.nodes if node.op in ("quantize", "encode", "threshold")]
