"""Put quantizers on a traced graph: weight slots on layers, activation slots on edges.

The model is captured before, never after: `attach` replaces nothing that an optimizer or a compiler holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor, fx
from torch.nn.utils import parametrize

from .._core.errors import GraphError, QuantizerError
from ..graph import Graph, Parts, RunInParts, Slot, check, operand
from ..graph.graph import RECURRENT
from .grids import Uniform
from .quantizer import UNSIGNED, WEIGHTS, Quantizer, role_of
from .slots import ActivationSlot, WeightSlot
from .table import method

T = TypeVar("T")

# They pass values on unchanged: what comes out came in.
CARRIERS = ("shift_pad", "max_pool", "flatten", "reshape", "gather", "identity", "slot")


@dataclass(frozen=True)
class Choice:
    """A method at a bit-width."""

    method: str
    bits: int


@dataclass(frozen=True)
class LayerChoice:
    """What one layer gets; None leaves that side in float."""

    weight: Choice | None
    activation: Choice | None


def attach(
    graph: Graph, layers: dict[str, LayerChoice], residual: Choice | None, keep_sums: bool = False,
    shared_inputs: bool = True,
) -> Graph:  # fmt: skip
    """A copy of the graph with a slot wherever `layers` (by layer name) and `residual` say so.

    `residual` quantizes every value that is stored between layers without feeding a layer alone: what a shortcut reads,
    or a pool that layers come behind. Layers that read the same value with the same choice share one activation slot, a
    stored value's, too; without `shared_inputs` each has its own. With `keep_sums`, an addition takes the sums of two
    layers as they are, instead of storing one of them as codes, every other value is quantized once for all its
    readers, before pools and concatenations that pass it on, and rounding is that of shifts where the method has it.

    Raises: GraphError for a name that is no layer. QuantizerError where a method cannot do what is asked of it.
    """
    graph = graph.copy()
    by_name = {str(node.target): node for node in graph.layers()}
    unknown = set(layers) - set(by_name)
    if unknown:
        raise GraphError(f"{sorted(unknown)[0]}: no such layer; layers: {', '.join(by_name)}")
    if residual is not None:
        for node in _stored_values(graph, keep_sums):
            _insert(graph, node, residual, list(node.users), f"{node.name}_store", keep_sums)
    made: dict[tuple[fx.Node, Choice], fx.Node] = {}
    for name, choice in layers.items():
        node, op = by_name[name], graph.kind(by_name[name]).op
        if choice.weight is not None:
            _quantize_weight(graph, node, choice.weight)
        if choice.activation is None or op == "embedding":  # token ids are whole numbers already
            continue
        if op in RECURRENT:
            _quantize_state(graph, node, choice)
        else:
            _quantize_input(graph, node, choice.activation, made if shared_inputs else {}, keep_sums)
    return check(graph.refresh())


def calibrate(graph: Graph, batch: Tensor, only: Collection[str] | None = None) -> None:
    """Fit every activation slot to `batch` (N, ...), in the order of the network, each behind the slots before it.

    `only`: names of the slots to fit, where the others are trained already. Leaves the module in evaluation mode.

    Raises: QuantizerError if the batch has not the example's shape, or naming the slot that saw NaN or Inf.
    """
    if batch.shape[1:] != graph.example.shape[1:] or not len(batch):
        expected = ", ".join(map(str, graph.example.shape[1:]))
        raise QuantizerError(f"calibration needs values of shape (N, {expected}), N >= 1, got {tuple(batch.shape)}")
    slots = [
        module for name, module in graph.module.named_modules()
        if isinstance(module, ActivationSlot) and (only is None or name in only)
    ]  # fmt: skip
    graph.module.eval()
    try:
        for slot in slots:
            slot.calibrating = True
        _Calibration(graph).of(batch)
    finally:
        for slot in slots:
            slot.calibrating = False


class _Calibration(RunInParts):
    """Slots are fitted to the whole batch, and so is what has slots inside."""

    def value(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        module = self.module.get_submodule(str(node.target)) if node.op == "call_module" else None
        to_fit = [slot for slot in module.modules() if isinstance(slot, Slot) and slot.calibrating] if module else []
        if not to_fit:
            return super().value(node, args, kwargs)
        x: Parts = args[0]
        if module is to_fit[0]:
            to_fit[0].fit(x.whole)
            to_fit[0].calibrating = False
            return super().value(node, args, kwargs)
        return Parts(self.call_module(str(node.target), (x.whole,), kwargs).split([len(part) for part in x.values]))


def check_ranges(graph: Graph) -> None:
    """After calibration: every quantizer saw something to quantize.

    Activations that were zero in all samples, as pruning leaves them, are a warning: whatever comes later is zero too.

    Raises: QuantizerError naming the first layer whose weights are all zero.
    """
    for node in graph.layers():
        layer = graph.submodule(node)
        if parametrize.is_parametrized(layer, "weight") and not layer.parametrizations.weight.original.any():
            raise QuantizerError(
                f"{node.target}.weight: is zero everywhere, so it has no range; remove the layer, or leave it in float "
                '(weight_bits = "float")'
            )
    for slot in graph.module.modules():
        if isinstance(slot, ActivationSlot) and slot.is_dead:
            warnings.warn(
                f"{slot.label}: is zero in all calibration samples and will be zero for all inputs; where that is not "
                "meant, give other samples",
                stacklevel=2,
            )


def quantizers(graph: Graph) -> Iterator[Quantizer]:
    """Every quantizer of the graph, weights and activations."""
    return (module for module in graph.module.modules() if isinstance(module, Quantizer))


def is_nonnegative(graph: Graph, node: fx.Node) -> bool:
    """Whether a value can be shown never to be negative: it comes from a ReLU through nodes that keep the sign."""
    if node.op == "placeholder":
        return False
    kind = graph.kind(node)
    if kind.op == "clamp":
        return bool(kind.attrs["lo"] >= 0)
    if kind.op in (*CARRIERS, "avg_pool", "concat", "add"):
        return all(is_nonnegative(graph, n) for n in node.all_input_nodes)
    return False


def _quantize_weight(graph: Graph, node: fx.Node, choice: Choice) -> None:
    layer, parts, name = graph.submodule(node), method(choice.method), f"{node.target}.weight"
    if parametrize.is_parametrized(layer, "weight"):
        raise QuantizerError(f"{name}: already has a parametrization (a quantizer, weight_norm); remove it first")
    weight = layer.weight.detach()
    is_table = graph.kind(node).op == "embedding"  # its rows become activations, which have one grain
    grains = weight.shape[0] if parts.grain == "channel" and not is_table else 1
    quantizer = _named(name, lambda: Quantizer(parts, choice.bits, True, grains))
    _named(name, lambda: quantizer.fit(weight))
    parametrize.register_parametrization(layer, "weight", WeightSlot(quantizer.eval(), choice.method))


def _quantize_input(
    graph: Graph, node: fx.Node, choice: Choice, made: dict[tuple[fx.Node, Choice], fx.Node], keep_sums: bool
) -> None:
    source = operand(node)
    if _has_slot(graph, source, choice):
        return
    if keep_sums:
        source = _origin(graph, source)
        _insert(graph, source, choice, list(source.users), f"{node.name}_input", keep_sums)
        return
    if (source, choice) not in made:
        made[source, choice] = _insert(graph, source, choice, [], f"{node.name}_input", keep_sums)
    node.args = (made[source, choice], *node.args[1:])


def _has_slot(graph: Graph, node: fx.Node, choice: Choice) -> bool:
    """Whether a value comes out of a slot of this choice, as it is: what is stored for a shortcut or a pool."""
    slot = slot_behind(graph, node)
    return slot is not None and (slot.method, slot.quantizer.bits) == (choice.method, choice.bits)


def slot_behind(graph: Graph, node: fx.Node) -> ActivationSlot | None:
    """The slot whose values `node` gives, as they are or moved; None where there is none."""
    while node.op != "placeholder" and graph.kind(node).op in CARRIERS:
        if graph.kind(node).op == "slot":
            slot: ActivationSlot = graph.submodule(node)
            return slot
        node = operand(node)
    return None


def _quantize_state(graph: Graph, node: fx.Node, choice: LayerChoice) -> None:
    """A recurrent layer multiplies its own state: the slot lies inside it."""
    name = f"{node.name}_state"
    if choice.weight is None or choice.activation is None:
        raise QuantizerError(f"{name}: a state is quantized together with its weights; give the layer both bit-widths")
    graph.submodule(node).quantize(_for_floats(_slot(choice.activation, True, name)))


def _slot(choice: Choice, signed: bool, name: str) -> ActivationSlot:
    parts, role = method(choice.method), role_of(signed, True)
    if role not in parts.roles:
        these, others = "can be negative", "that are never negative (after a ReLU)"
        if role == UNSIGNED:
            these, others = "are never negative", "of both signs (no ReLU in front)"
        needed = "weights only" if parts.roles == {WEIGHTS} else f"activations {others}"
        raise QuantizerError(
            f"{name}: method {choice.method!r} is for {needed}, these activations {these}; use 'lsq' for this layer"
        )
    quantizer = _named(name, lambda: Quantizer(parts, choice.bits, signed, sample_axis=True))
    return ActivationSlot(quantizer, choice.method, name)


def _for_floats(slot: ActivationSlot) -> ActivationSlot:
    """A slot on values that the engine has as floats, which it rounds half to even (docs/numerics.md)."""
    grid = slot.quantizer.grid
    if isinstance(grid, Uniform):
        slot.quantizer.grid = replace(grid, half_up=False)
    return slot


def _insert(graph: Graph, source: fx.Node, choice: Choice, users: list[fx.Node], name: str, from_sums: bool) -> fx.Node:
    slot_module = _slot(choice, not is_nonnegative(graph, source), name)
    if source is graph.input or not from_sums:
        slot_module = _for_floats(slot_module)
    graph.module.add_submodule(f"slots.{name}", slot_module)
    with graph.module.graph.inserting_after(source):
        slot = graph.module.graph.call_module(f"slots.{name}", (source,))
    for user in users:
        user.replace_input_with(source, slot)
    return slot


def _named(name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except QuantizerError as error:
        raise QuantizerError(f"{name}: {error}") from None


def _stored_values(graph: Graph, keep_sums: bool) -> list[fx.Node]:
    """Nodes whose value an addition's second operand or a pool reads.

    A pool behind the last layer averages floats: codes would cost much of the result's precision and save nothing.
    """
    stored: dict[fx.Node, None] = {}
    before_layers = _before_layers(graph)
    for node in graph.nodes:
        op = graph.kind(node).op
        if op == "add":
            inline = _inline_operand(graph, node)
            for value in node.all_input_nodes:
                if value is not inline and not (keep_sums and _ends_layer(graph, value)):
                    stored[_origin(graph, value)] = None
        elif op == "avg_pool" and (keep_sums or node in before_layers):
            stored[_origin(graph, operand(node))] = None
    return list(stored)


def _before_layers(graph: Graph) -> set[fx.Node]:
    """Nodes whose value reaches a layer."""
    layers, found = set(graph.layers()), set[fx.Node]()
    for node in reversed(graph.nodes):
        if any(user in found or user in layers for user in node.users):
            found.add(node)
    return found


def _inline_operand(graph: Graph, add: fx.Node) -> fx.Node | None:
    """The operand that a layer's own epilogue can add to: the last-computed chain layer (-> batch-norm) -> add."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    chains = [value for value in add.all_input_nodes if _ends_layer(graph, value)]
    return max(chains, key=order.__getitem__, default=None)


def _ends_layer(graph: Graph, node: fx.Node) -> bool:
    while node.op != "placeholder" and len(node.users) == 1:
        op = graph.kind(node).op
        if op in ("conv2d", "linear"):
            return True
        if op != "batch_norm":
            return False
        node = operand(node)
    return False


def _origin(graph: Graph, node: fx.Node) -> fx.Node:
    """The value's producer, before shortcuts and pools that pass it on unchanged."""
    while node.op != "placeholder" and graph.kind(node).op in CARRIERS:
        node = operand(node)
    return node
