"""`kompakt inspect`: what is in a model file, or in a network."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._core.errors import RecipeError
from . import jobs, options
from .output import count_text, print_json, shape_text, table

if TYPE_CHECKING:
    from ..artifact import Program
    from ..measure import NodeCost


@click.command(short_help="Layers, bits and bytes of a model file or a network.")
@click.argument("source", metavar="MODEL.kpt | MODEL.py:FUNCTION | zoo:NAME")
@options.input_shape
@click.option("--kernels", is_flag=True, help="Of a model file: the kernel of every layer on this CPU, and why.")
@options.bits
@options.as_json
def inspect(source: str, input_shape: tuple[int, ...] | None, kernels: bool, bits: int | None, as_json: bool) -> None:
    """Per layer: shape, parameters, MACs, bits, bytes. A model file is read without torch.

    \b
    kompakt inspect model.kpt --kernels
    kompakt inspect mynet.py:build --input 1,3,32,32
    kompakt inspect zoo:cifar10-resnet20

    Of a network, `note` says what compression will do about a layer that is special.
    """
    if jobs.is_model(source):
        if kernels:
            raise click.UsageError("--kernels is for a model file; a network has no kernels before it is packed")
        if bits is not None:
            raise click.UsageError("--bits is for a model file; a network has no bit-width before it is packed")
        _inspect_network(source, input_shape, as_json)
    elif Path(source).is_file():
        _inspect_file(Path(source), kernels, bits, as_json)
    else:
        raise RecipeError(f"{source}: no such file; give MODEL.kpt, FILE.py:FUNCTION or zoo:NAME")


def _inspect_file(path: Path, kernels: bool, bits: int | None, as_json: bool) -> None:
    from ..artifact import from_bytes, sections
    from ..measure import energy_per_value_pj, program_cost, requantization_costs

    data = path.read_bytes()
    whole, metadata = from_bytes(data)
    program, cost = whole.at(bits), program_cost(whole.at(bits))
    content: dict[str, Any] = {
        "file": str(path), "bytes": len(data), "sections": sections(data), "input": list(program.input_shape),
        "widths": [width for width in whole.widths if width],
        "nodes": len(program.nodes), "parameters": cost.parameters, "macs": cost.macs, "bops": cost.bops,
        "peak_bytes": cost.peak_bytes, "metadata": metadata,
        "layers": [_layer(program, layer) for layer in cost.layers],
        "sums_to_codes": {"by": [asdict(way) for way in requantization_costs(program)],
                          "pj_per_8_bit_value": dict(energy_per_value_pj(8))},
    }  # fmt: skip
    if kernels:
        from ..engine import load

        engine = load(data)
        if bits is not None:
            engine.use(bits)
        content |= {"isa": engine.isa, "kernels": engine.kernels()}
    if as_json:
        print_json(content)
    else:
        _print_file(content)


def _layer(program: Program, cost: NodeCost) -> dict[str, Any]:
    weight = next(node.attrs["weight"] for node in program.nodes if node.name == cost.name)
    encoding = getattr(weight, "encoding", None)
    return {
        "name": cost.name, "op": cost.op, "shape": list(cost.shape), "parameters": cost.parameters,
        "macs": cost.macs, "bops": cost.bops, "weight_bits": cost.weight_bits, "activation_bits": cost.activation_bits,
        "bytes": cost.weight_bytes, "encoding": "float" if encoding is None else type(encoding).__name__.lower(),
    }  # fmt: skip


def _print_file(content: dict[str, Any]) -> None:
    click.echo(f"{content['file']}: {count_text(content['bytes'])} bytes, {content['nodes']} nodes")
    if content["widths"]:
        click.echo(f"bit-widths over the same weights: {', '.join(map(str, content['widths']))}; --bits shows another")
    click.echo("")
    rows = [
        (
            layer["name"], layer["op"], shape_text(layer["shape"]), layer["encoding"], layer["weight_bits"],
            layer["activation_bits"], *(count_text(layer[key]) for key in ("parameters", "macs", "bytes")),
        )
        for layer in content["layers"]
    ]  # fmt: skip
    header = ("layer", "op", "shape", "encoding", "W bits", "A bits", "parameters", "MACs", "bytes")
    click.echo(table(header, rows, "llllrrrrr"))
    click.echo(
        f"\n{count_text(content['parameters'])} parameters, {content['macs'] / 1e6:.2f} M MACs, "
        f"{content['bops'] / 1e9:.3f} G BOPs, at most {count_text(content['peak_bytes'])} bytes of values at once"
    )
    click.echo(_requantization_text(content["sums_to_codes"]))
    click.echo("sections: " + ", ".join(f"{name} {count_text(size)}" for name, size in content["sections"].items()))
    if "kernels" in content:
        click.echo(f"\nkernels on {content['isa']}, with the estimated cycles of all that could run the layer\n")
        click.echo(table(("layers", "kernel", "reason"), _kernel_rows(content["kernels"]), "lll"))
    click.echo("")
    for key, value in content["metadata"].items():
        click.echo(f"{key}: " + str(value).replace("\n", "\n    "))


def _requantization_text(found: dict[str, Any]) -> str:
    """One line: how sums become codes, and what each way takes."""
    parts = [f"{count_text(way['values'])} by {way['way']}, {way['energy_pj'] / 1e6:.3f} uJ" for way in found["by"]]
    prices = ", ".join(f"{way} {price:.1f} pJ" for way, price in found["pj_per_8_bit_value"].items())
    return f"sums to codes: {'; '.join(parts) or 'none'} (arithmetic alone, 45 nm; an 8-bit value by {prices})"


def _kernel_rows(kernels: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """A row per run of neighbouring layers with one kernel for one reason: deep networks repeat themselves."""
    rows = []
    for (kernel, reason), run in groupby(kernels, key=lambda row: (row["kernel"], row["reason"])):
        names = [row["node"] for row in run]
        label = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]} ({len(names)})"
        rows.append((label, kernel, _short_reason(reason)))
    return rows


def _short_reason(reason: str) -> str:
    """The candidates from the cheapest on, without those that cannot run the layer (`--json` has them)."""
    candidates = [part.split(": ") for part in reason.removeprefix("cheapest of ").split("; ")]
    costs = {name: float(rest[0].split()[0]) for name, *rest in candidates if rest and rest[0].endswith(" kcycles")}
    if not reason.startswith("cheapest of ") or not costs:
        return reason
    ranked = [f"{name} {costs[name]:.1f}" for name in sorted(costs, key=costs.__getitem__)]
    return f"{' < '.join(ranked)} kcycles" if len(ranked) > 1 else f"only {ranked[0]} kcycles can run it"


def _inspect_network(source: str, input_shape: tuple[int, ...] | None, as_json: bool) -> None:
    from ..strategy import survey

    content = survey(source, input_shape)
    if as_json:
        print_json(content)
        return
    numbers = ("parameters", "macs", "bytes", "input_bytes")
    rows = [
        (
            layer["name"],
            layer["op"],
            shape_text(layer["shape"]),
            *(count_text(layer[key]) for key in numbers),
            layer["note"],
        )
        for layer in content["layers"]
    ]
    rows.append(("total", "", "", *(count_text(content["total"][key]) for key in numbers[:3]), "", ""))
    click.echo(f"{source} on input {shape_text(content['input'])}\n")
    header = ("layer", "op", "shape", "parameters", "MACs", "bytes", "input bytes", "note")
    click.echo(table(header, rows, "lllrrrrl"))
    click.echo("\nother operations: " + ", ".join(f"{name} x{count}" for name, count in content["others"].items()))
