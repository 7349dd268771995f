"""What a quantized network is, in numbers: per layer bits, bytes, cost, levels beside the weights' histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import safetensors.torch
from torch import fx, nn
from torch.nn.utils import parametrize

from ..artifact import Program
from ..graph import Graph, operand
from ..graph.graph import RECURRENT
from ..measure import layer_costs
from ..quant import ActivationSlot
from .recipe import Recipe

HISTOGRAM_BINS = 48
FLOAT_BITS = 32


def describe(recipe: Recipe, original: Graph, graph: Graph, program: Program) -> dict[str, Any]:
    """The static part of `result.json`: names, bits, sizes, cost, layers, and what was skipped and why."""
    stage = recipe.stage[0]
    costs = {cost.name: cost for cost in layer_costs(program)}
    layers = [_layer(graph, node, costs[str(node.target)]) for node in graph.layers()]
    parameters = sum(p.numel() for p in original.module.parameters())
    macs = sum(layer["macs"] for layer in layers)
    skipped = [layer["name"] for layer in layers if layer["weight_bits"] == FLOAT_BITS]
    return {
        "name": recipe.name, "model": recipe.model.source, "dataset": recipe.data.source, "method": stage.method,
        "recipe": recipe.model_dump(exclude_defaults=True), "protocol": recipe.protocol, "seed": recipe.seed,
        "epochs": recipe.train.epochs,
        "bits": {
            "weights": stage.weight_bits, "activations": stage.activation_bits, "first_last": stage.first_last,
            "residual": stage.residual_bits,
        },
        "float": {"params": parameters, "bytes": state_bytes(original.module), "macs": macs},
        "macs": macs, "bops": sum(layer["bops"] for layer in layers), "layers": layers,
        "skipped": [{"name": name, "reason": "the recipe leaves its weights in float"} for name in skipped],
        "goal_top1": recipe.goal_top1, "published": recipe.published.model_dump() if recipe.published else None,
    }  # fmt: skip


def state_bytes(module: nn.Module) -> int:
    """Bytes on disk of the float state dict as a safetensors file."""
    return len(safetensors.torch.save({k: v.contiguous() for k, v in module.state_dict().items()}))


def _short(value: float) -> float:
    """Six significant digits: enough for a drawing."""
    return float(f"{value:.6g}")


def _layer(graph: Graph, node: fx.Node, cost: Any) -> dict[str, Any]:
    layer = graph.submodule(node)
    record = {
        "name": str(node.target), "op": cost.op, "shape": list(layer.weight.shape), "params": layer.weight.numel(),
        "macs": cost.macs, "bops": cost.bops, "weight_bits": cost.weight_bits, "activation_bits": cost.activation_bits,
        "packed_bytes": cost.weight_bytes, "float_bytes": layer.weight.numel() * 4, "method": "float",
    }  # fmt: skip
    is_quantized = parametrize.is_parametrized(layer, "weight")
    original = (layer.parametrizations.weight.original if is_quantized else layer.weight).detach()
    counts, edges = np.histogram(original.numpy(), bins=HISTOGRAM_BINS)
    record["histogram"] = {"edges": [_short(e) for e in edges], "counts": counts.tolist()}
    if is_quantized:
        record |= _weight_quantizer(layer, original.numpy())
    record["activation_method"] = _activation_method(graph, node)
    return record


def _weight_quantizer(layer: Any, original: np.ndarray) -> dict[str, Any]:
    slot = layer.parametrizations.weight[0]
    quantizer = slot.quantizer
    encoding, scale = quantizer.encoding()
    levels = encoding.table() * scale[:, None]
    typical = int(np.argsort(np.abs(levels).max(1))[len(levels) // 2])
    value = layer.weight.detach().numpy()
    return {
        "method": slot.method,
        "levels": [_short(v) for v in np.sort(levels[typical])],
        "weight_error": float(np.mean((value - original) ** 2) / max(float(np.mean(original**2)), 1e-30)),
        "snap_error": quantizer.rule.snap_error(),
    }


def _activation_method(graph: Graph, node: fx.Node) -> str:
    if graph.kind(node).op in RECURRENT:
        state = graph.submodule(node).state
        return "float" if state is None else str(state.method)
    source = operand(node)
    while source.op != "placeholder" and graph.kind(source).op in ("max_pool", "flatten", "shift_pad"):
        source = operand(source)
    module = graph.submodule(source) if source.op == "call_module" else None
    return module.method if isinstance(module, ActivationSlot) else "float"
