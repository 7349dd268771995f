"""What cannot be traced is refused with the place, the reason and what to do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kompakt._core.errors import GraphError
from kompakt.graph import trace

IMAGE = torch.zeros(2, 3, 8, 8)


class Inner(nn.Module):
    """A block with a convolution, then whatever a test asks for."""

    def __init__(self, then) -> None:
        super().__init__()
        self.conv, self.then = nn.Conv2d(3, 4, 3, padding=1), then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.conv(x))


def refused(model: object, *words: str, example: object = IMAGE) -> str:
    with pytest.raises(GraphError) as caught:
        trace(model, example)
    text = str(caught.value)
    for word in words:
        assert word in text, f"{word!r} not in {text!r}"
    return text


def branch(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else F.relu(x)


def test_a_branch_on_values_names_module_and_line():
    text = refused(nn.Sequential(nn.Identity(), Inner(branch)), "1: ", "cannot be traced", "control flow")
    assert "test_errors.py" in text
    assert "if x.sum() > 0" in text


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (nn.Softplus(), ("block.then", "Softplus is not supported", "replace it", "ReLU")),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), ("block.then", "'reflect'", "zeros")),
        pytest.param(
            nn.Conv2d(4, 4, 2, padding="same"),
            ("block.then", "asymmetrically", "pad explicitly"),
            marks=pytest.mark.filterwarnings("ignore:Using padding='same'"),
        ),
        (nn.MaxPool2d(2, ceil_mode=True), ("block.then", "ceil_mode")),
        (nn.MaxPool2d(2, dilation=2), ("block.then", "dilation")),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), ("block.then", "count_include_pad=True")),
        (nn.AvgPool2d(2, divisor_override=3), ("block.then", "divisor_override")),
        (nn.AdaptiveAvgPool2d(2), ("block.then", "1x1")),
        (nn.BatchNorm2d(4, track_running_stats=False), ("block.then", "track_running_stats=True")),
        (lambda x: F.softmax(x, 1), ("block: softmax()", "not supported", "replace it")),
        (lambda x: x * 2, ("block: mul()", "not supported")),
        (lambda x: x + 1, ("block: add()", "constant")),
        (lambda x: torch.add(x, x, alpha=2), ("block: add()", "constant")),
        (lambda x: x + x.mean((2, 3), keepdim=True), ("block: add()", "broadcasting", "(2, 4, 1, 1)")),
        (lambda x: torch.cat([x, x], 2), ("block: cat()", "another axis than channels")),
        (lambda x: x.view(-1, 32), ("block: view()", "batch axis", "x.flatten(1)")),
        (lambda x: x.view(2, -1), ("block: view()", "fixes the batch size", "x.flatten(1)")),
        (lambda x: x.view(x.size(0), 2, 2, 64), ("block: view()", "4 axes", "x.flatten(1)")),
        (lambda x: x.view(x.size(0) * 2, -1), ("block: mul()",)),
        (lambda x: x.flatten(2), ("block: flatten()", "flatten(2, -1)", "everything but the batch")),
        (lambda x: x.mean(1), ("block: mean()", "height and width")),
        (lambda x: x.mean(), ("block: mean()", "height and width")),
        (lambda x: x[:, :, 0], ("block: getitem()", "keep every axis")),
        (lambda x: x[1:], ("block: getitem()", "keep every axis")),
        (lambda x: x.transpose(1, 2), ("block: transpose()", "not supported")),
        (lambda x: x.flatten(2).transpose(1, 2).transpose(0, 1), ("block: ", "not supported")),
        (lambda x: torch.cat([x.flatten(2).transpose(1, 2)] * 2, 1), ("block: cat()", "class token", "x.mean(1)")),
        (lambda x: F.pad(x, (1, 1, 1, 1)), ("block: pad()", "padding argument")),
        (lambda x: F.dropout(x, 0.5, training=True), ("block: dropout()", "training=self.training")),
        (lambda x: x.clamp(max=1), ("block: clamp()", "lower limit")),
        (lambda x: F.relu(x, True, 3), ("block",)),
    ],
)
def test_operations_off_the_list_are_named(then, words):
    refused(Holder(then), *words)


class Holder(nn.Module):
    def __init__(self, then) -> None:
        super().__init__()
        self.block = Inner(then)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class TwoInputs(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class OptionalInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.conv(x)


def test_models_of_several_inputs():
    refused(TwoInputs(), "takes 2 inputs (left, right)", "wrap it")
    refused(OptionalInput(), "exactly one input", "x, mask", "wrap it")


def test_models_of_several_outputs():
    refused(Inner(lambda x: (x, x)), "must return one tensor", "tuple", "wrap it")
    refused(Inner(lambda x: {"y": x}), "must return one tensor", "dict")


def test_wrong_channels_name_the_first_layer():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    refused(model, "0.0: ", "(1, 4, 8, 8)", "3 channels", "give an example", example=torch.zeros(1, 4, 8, 8))


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        ("resnet", IMAGE, ("torch.nn.Module", "str")),
        (nn.Conv2d(3, 4, 1), [1.0], ("float tensor", "list")),
        (nn.Conv2d(3, 4, 1), torch.zeros(2, 3, 8, 8, dtype=torch.int64), ("float tensor", "int64")),
        (nn.Conv2d(3, 4, 1), torch.zeros(0, 3, 8, 8), ("N >= 1", "(0, 3, 8, 8)")),
        (nn.Conv2d(3, 4, 1), torch.zeros(3, 8, 8), ("(N, C, H, W)", "(3, 8, 8)")),
        (nn.Linear(8, 4), IMAGE, ("(N, features)",)),
    ],
)
def test_wrong_arguments(model, example, words):
    refused(model, *words, example=example)


class SelfAdding(nn.Module):
    """Adds its own parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.shift = nn.Conv2d(3, 4, 1), nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shift


def test_parameters_outside_layers():
    refused(SelfAdding(), "shift", "outside a layer")


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.conv(x)))


def test_shared_layers():
    refused(Shared(), "conv: ", "called 2 times", "own layer")


def discarded(x: Tensor) -> Tensor:
    F.relu(x, inplace=True)
    return x


def aliased(x: Tensor) -> Tensor:
    y = F.relu(x, inplace=True)
    return y + x


def test_operations_in_place_that_a_graph_cannot_express():
    refused(Holder(discarded), "block: relu()", "in place", "write x = f(x)")
    refused(Holder(aliased), "computes something else", "in place")


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.extra = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.extra(x)
        return self.conv(x)


def test_results_that_nobody_reads_are_left_out():
    graph = trace(Unused(), IMAGE)
    assert [str(node.target) for node in graph.layers()] == ["conv"]


class Uncopyable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lines = nn.Conv2d(3, 4, 1), (i for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def test_models_that_cannot_be_copied():
    refused(Uncopyable(), "Uncopyable", "cannot be copied", "attributes")
