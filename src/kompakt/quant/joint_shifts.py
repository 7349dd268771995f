"""Joint search of power-of-two steps: a module's weights and its output together, on inputs as they really arrive.

A *module* is all that lies between two activation slots: a layer or the layers whose sums are added, with the ReLU,
the shortcut, the concatenation or the pool behind them. Only its output is quantized.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from .._core.errors import QuantizerError
from ..graph import Graph, operand
from ..ops.steps import FINER, no_clip_step
from .attach import slot_behind
from .correct import channel_axis, has_slot

LARGEST_VALUES = 1 << 25  # of one map over all images; more images are left out of the search
SUM_BITS = 26  # sums with their bias and residual keep to these bits of the 31 there are
HALVINGS = 0.5 ** torch.arange(FINER + 1)
IN_PLACE = ("add", "clamp", "identity", "unary")
CHANNELWISE = ("add", "clamp", "batch_norm", "max_pool", "identity")

OnLayer = Callable[[str, int, int], None]


def search_shifts(graph: Graph, original: Graph, batch: Tensor, on_layer: OnLayer = lambda *_: None) -> None:
    """Choose every step of `graph` in place, module by module in the order of the network.

    For each module, with X its quantized inputs and O its output in the float network on the same images:
    steps of weights and output = argmin over both of |O - Ô|², each among the largest power of two at which nothing is
    clipped and `FINER` halvings of it; one step per output channel where the weight's quantizer has one per channel.
    Layers whose sums are added are searched in turn.

    Args:
        graph: quantizers of powers of two on all layers and on the output of every module, batch-norm folded.
        original: the float network that `graph` was made of.
        batch: calibration images (N, ...).
        on_layer: told name, index and number of layers.
    Raises: QuantizerError for NaN or Inf in the network's values.
    Source: Geng et al., "Dataflow-based Joint Quantization of Weights and Activations for Deep Neural Networks", 2019.
    The search grid, the rounding and the steps per channel are ours.
    """
    largest = max(math.prod(node.meta["shape"][1:]) for node in graph.nodes if "shape" in node.meta)
    count = max(1, LARGEST_VALUES // largest)
    graph.module.eval()
    with torch.no_grad():
        _Search(graph, original, batch[:count], on_layer).run()


def round_biases(graph: Graph) -> None:
    """Round every bias to whole units of its layer's sums, in place: input step times weight step."""
    for node in graph.products():
        layer, slot = graph.submodule(node), slot_behind(graph, operand(node))
        if layer.bias is None or slot is None or not has_slot(layer):
            continue
        unit = layer.parametrizations.weight[0].quantizer.rule.step.double() * _step(slot)
        with torch.no_grad():
            layer.bias.copy_(torch.round(layer.bias.double() / unit) * unit)


class _Values(fx.Interpreter):
    """Runs single nodes; operators that would work in place get copies, since values are kept and used again."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.module)
        self.kind = graph.kind

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        found = super().fetch_args_kwargs_from_env(n)
        if self.kind(n).op not in IN_PLACE:
            return found
        return fx.node.map_aggregate(found, lambda value: value.clone() if isinstance(value, Tensor) else value)


class _Search:
    """Values of the float network and of the quantized one so far, by node."""

    def __init__(self, graph: Graph, original: Graph, batch: Tensor, on_layer: OnLayer) -> None:
        self.graph, self.on_layer = graph, on_layer
        self.layers = [str(node.target) for node in graph.products()]
        self.searched: set[fx.Node] = set()
        self.twins = {node.name: node for node in original.module.graph.nodes}
        self.floats, self.quantized = _Values(original), _Values(graph)
        self.floats.env, self.quantized.env = {original.input: batch}, {graph.input: batch}
        self.own = {node.name: node for node in graph.module.graph.nodes}
        self.done, self.computed = {graph.input}, {original.input}

    def run(self) -> None:
        for node in self.graph.nodes:
            if self.graph.kind(node).op == "slot":
                self._search_module(node, operand(node), self.graph.submodule(node).quantizer)
            else:
                twin = self.twins[node.name]
                self.floats.env[twin] = self.floats.run_node(twin)
                self.computed.add(twin)
                if node is self.graph.output:
                    self._search_module(node, node, None)
            self._forget()

    def _search_module(self, end: fx.Node, last: fx.Node, slot: Any) -> None:
        """The module whose output is the value of `last`; `end` is its slot, or `last` where the network ends."""
        target, body = self._float_value(last), self._body(last)
        if not torch.isfinite(target).all():
            raise QuantizerError(f"{end.name.removeprefix('slots_')}: cannot search steps for NaN or Inf")
        module = _Module(last, body, target, slot)
        layers = [node for node in body if self._is_searchable(node)]
        value = self._evaluate(module)
        if not layers:
            self._set_output(module, module.errors(value).sum(1).argmin())
        for node in layers:
            self.on_layer(str(node.target), self.layers.index(str(node.target)), len(self.layers))
            self._set_output(module, self._search_layer(node, module))
            self.searched.add(node)
        self.done.update(body)
        if slot is not None:
            self.quantized.env[end] = slot(self.quantized.env[last])
            self.done.add(end)

    def _set_output(self, module: _Module, index: Tensor) -> None:
        if module.slot is not None:
            module.slot.rule.step.copy_(module.steps[index].reshape(1))

    def _search_layer(self, node: fx.Node, module: _Module) -> Tensor:
        """Set the steps of the weight; returns the index of the best step of the output."""
        layer = self.graph.submodule(node)
        quantizer, weight = layer.parametrizations.weight[0].quantizer, layer.parametrizations.weight.original
        steps = no_clip_step(weight.reshape(quantizer.grains, -1), *quantizer.grid.limits) * HALVINGS[:, None]
        steps = steps.clamp(min=self._finest(node, layer, module.target))  # (candidates, grains)
        rows = []
        for step in steps:
            quantizer.rule.step.copy_(step)
            rows.append(module.errors(self._evaluate(module, node)))
        errors = torch.stack(rows)  # (candidates, output steps, channels)
        if quantizer.grains == 1 or not self._is_channelwise(node, module):
            errors = errors.sum(2, keepdim=True)
        least = errors.min(0)
        index = least.values.sum(1).argmin()
        chosen = least.indices[index].expand(quantizer.grains)
        quantizer.rule.step.copy_(steps.gather(0, chosen[None])[0])
        self._evaluate(module, node)
        return index

    def _finest(self, node: fx.Node, layer: Any, target: Tensor) -> float:
        """A floor under the steps of the weight that keeps sums, bias and residual within `SUM_BITS`."""
        slot = slot_behind(self.graph, operand(node))
        largest = max(float(target.abs().max()), float(layer.bias.abs().max()) if layer.bias is not None else 0.0, 1e-6)
        unit = 1.0 if slot is None else _step(slot)
        return float(2.0 ** math.ceil(math.log2(largest / unit) - SUM_BITS))

    def _is_searchable(self, node: fx.Node) -> bool:
        return node not in self.searched and str(node.target) in self.layers and has_slot(self.graph.submodule(node))

    def _is_channelwise(self, node: fx.Node, module: _Module) -> bool:
        """Whether an output channel of the layer reaches no other channel of the module's output."""
        return all(self.graph.kind(other).op in CHANNELWISE for other in module.behind(node)[1:])

    # -- values

    def _float_value(self, node: fx.Node) -> Tensor:
        while node.name not in self.twins:  # a slot has no twin
            node = operand(node)
        value: Tensor = self.floats.env[self.twins[node.name]]
        return value

    def _body(self, last: fx.Node) -> list[fx.Node]:
        """The nodes on the way to `last` whose quantized values are not known yet, in order."""
        needed: set[fx.Node] = set()
        stack = [last]
        while stack:
            node = stack.pop()
            if node not in needed and node not in self.quantized.env:
                needed.add(node)
                stack += node.all_input_nodes
        return [node for node in self.graph.nodes if node in needed]

    def _evaluate(self, module: _Module, changed: fx.Node | None = None) -> Tensor:
        """The quantized value of a module's output in front of its slot, from `changed` on if only that did."""
        env = self.quantized.env
        for node in module.body if changed is None else module.behind(changed):
            env[node] = self.quantized.run_node(node)
        value: Tensor = env[module.last]
        return value

    def _forget(self) -> None:
        """Drop values that nobody reads any more."""
        for node in [n for n in self.quantized.env if n in self.done and n.users and self.done.issuperset(n.users)]:
            del self.quantized.env[node]
        for twin in [t for t in self.floats.env if t.users and self._is_over(t)]:
            del self.floats.env[twin]

    def _is_over(self, twin: fx.Node) -> bool:
        """Whether a float value is neither an operand nor a target of what comes."""
        slots = [user for user in self.own[twin.name].users if user.name not in self.twins]
        return self.computed.issuperset(twin.users) and self.done.issuperset(slots)


class _Module:
    """What is searched together.

    Attributes:
        last: the node whose value is quantized. body: the nodes up to it.
        target: its value in the float network. slot: quantizer of the output, None at the network's end.
        steps: what the output's step may be, (n,).
    """

    def __init__(self, last: fx.Node, body: list[fx.Node], target: Tensor, slot: Any) -> None:
        self.last, self.body, self.target, self.slot = last, body, target, slot
        self.steps = torch.ones(1)
        if slot is not None:
            self.steps = no_clip_step(target.reshape(1, -1), *slot.grid.limits) * HALVINGS

    def behind(self, node: fx.Node) -> list[fx.Node]:
        """`node`, and all of the body that depends on it, in order."""
        reached = [node]
        for other in self.body:
            if not set(reached).isdisjoint(other.all_input_nodes):
                reached.append(other)
        return reached

    def errors(self, value: Tensor) -> Tensor:
        """Squared error of every output step and channel, (n, C); at the network's end nothing is rounded."""
        if self.slot is None:
            return _by_channel(value - self.target)[None]
        rounded = (self.slot.grid.value(value, {"step": step[None]}) for step in self.steps)
        return torch.stack([_by_channel(y - self.target) for y in rounded])


def _step(slot: Any) -> float:
    return float(slot.quantizer.rule.step)


def _by_channel(error: Tensor) -> Tensor:
    """Sum of squares of every channel of (N, C), (N, T, C) or (N, C, H, W), (C,)."""
    axis = channel_axis(error)
    return error.square().sum([d for d in range(error.dim()) if d != axis])
