"""From a finished run to its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...strategy import Recipe, load_recipe
from ...zoo import NETS
from ._records import AccuracyRecord, parse

FLOAT_BITS = 32
LABELS = ("protocol", "goal_top1", "goal_remark", "published")


def accuracy_record(
    result: dict[str, Any], environment: dict[str, Any], recipes: Path = Path("recipes")
) -> dict[str, Any]:
    """The record of a run from its folder's `result.json` and `env.json`.

    Args:
        recipes: folder with the recipe as it is now. Where it still describes the same training, protocol, goal and
            published number come from there: they say what a run is compared with, and may be set after it.
    Raises: DataError where the result lacks what a record needs.
    """
    record = {
        "system": result.get("method"),
        "recipe": result.get("name"),
        "model": result.get("model"),
        "dataset": result.get("dataset"),
        "bits": _bits(result),
        "mean_bits": _mean_bits(result.get("layers", [])),
        "protocol": result.get("protocol"),
        "epochs": result.get("epochs"),
        "seeds": [result.get("seed")],
        "commit": environment.get("commit"),
        "machine": environment.get("cpu"),
        "train_s": result.get("train_s"),
        "train_threads": result.get("threads"),
        "float_top1": result.get("float", {}).get("top1") if _is_trained_in_float(result) else None,
        "engine_top1": result.get("engine", {}).get("top1"),
        "published": result.get("published"),
        "goal_top1": result.get("goal_top1"),
        "goal_remark": result.get("recipe", {}).get("goal_remark", ""),
        "float_bytes": result.get("float", {}).get("bytes"),
        "file_bytes": result.get("file_bytes"),
        "file_breakdown": result.get("sections", {}),
        "macs": result.get("macs"),
        "bops": result.get("bops"),
        "latency_ratio": _latency_ratio(result.get("latency")),
    }
    recipe = result.get("recipe", {})
    given = {"teacher": recipe.get("train", {}).get("teacher"), "start": recipe.get("model", {}).get("start")}
    record |= {key: value for key, value in given.items() if value} | _labels(result, recipes)
    if "bits" in result.get("engine", {}):
        record |= {"float_bits": result["float"]["bits"], "engine_bits": result["engine"]["bits"]}
        if any(layer["op"] == "embedding" for layer in result["layers"]):
            record["reads_tokens"] = True
    if "widths" in result:
        record["widths"] = {width["bits"]: width["engine"]["top1"] for width in result["widths"]}
    measured = result.get("widths", [{"engine": result.get("engine", {})}])
    compared = [(one.get("bits"), one["engine"].get("integer_exact")) for one in measured]
    agreement = [{"bits": bits, **exact} for bits, exact in compared if exact]
    record |= {"agreement": agreement} if agreement else {}
    parse([record], AccuracyRecord, ["result.json"])
    return record


def _labels(result: dict[str, Any], recipes: Path) -> dict[str, Any]:
    path = recipes / f"{result.get('name')}.toml"
    if not path.is_file() or "recipe" not in result:
        return {}
    now, then = load_recipe(path), Recipe.model_validate(result["recipe"])
    labels = now.model_dump(include=set(LABELS))
    return labels if now.fingerprint() == then.fingerprint() else {}


def _is_trained_in_float(result: dict[str, Any]) -> bool:
    """Without a training of its own, a stock architecture has random weights: what it answers in float is chance."""
    is_stock = str(result.get("model")).removeprefix("zoo:") in NETS
    return not is_stock or "pretrain" in result.get("recipe", {})


def _bits(result: dict[str, Any]) -> dict[str, Any] | None:
    """The recipe's bit-widths, and what the layers really have where they differ: overridden, measured or learned."""
    bits, layers = result.get("bits"), result.get("layers", [])
    if bits is None or len(layers) < 3:
        return bits
    inner, ends = layers[1:-1], [layers[0], layers[-1]]
    activations = _common(inner, "activation_bits")
    words = [(_word(end["weight_bits"]), _word(end["activation_bits"])) for end in ends]
    return {
        **bits, "weights": _common(inner, "weight_bits"), "activations": activations,
        "first_last": _both_ends(words, activations == "float"),
    }  # fmt: skip


def _both_ends(ends: Sequence[tuple[int | str, int | str]], is_weight_only: bool) -> int | str:
    """One number where it says all about the first and the last layer, else weights and activations spelled out."""
    if len({weight for weight, _ in ends}) == 1 and (is_weight_only or all(w == a for w, a in ends)):
        return ends[0][0]
    return " and ".join(dict.fromkeys(f"W{weight} A{activation}" for weight, activation in ends))


def _common(layers: Sequence[dict[str, Any]], key: str) -> int | str:
    widths = {_word(layer[key]) for layer in layers}
    return widths.pop() if len(widths) == 1 else "mixed"


def _word(bits: int) -> int | str:
    return "float" if bits == FLOAT_BITS else bits


def _mean_bits(layers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Bits per weight, and per activation that a multiply-add reads; nothing where there are no layers."""
    means = {}
    for part, bits, share in (("weights", "weight_bits", "params"), ("activations", "activation_bits", "macs")):
        total = sum(layer[share] for layer in layers)
        if total:
            means[part] = round(sum(layer[bits] * layer[share] for layer in layers) / total, 2)
    return means


def _latency_ratio(latency: dict[str, Any] | None) -> dict[str, float] | None:
    """Peer -> ratio at the first setting of an attached benchmark."""
    rows = (latency or {}).get("rows", [])
    first = [row for row in rows if (row["threads"], row["batch"]) == (rows[0]["threads"], rows[0]["batch"])]
    return {row["engine"]: row["ratio"] for row in first} or None
