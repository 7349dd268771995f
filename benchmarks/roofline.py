"""Where the time of a network goes: a picture of measured time per stage, and of layers under the machine's limits.

    python benchmarks/roofline.py [--net resnet18] [--bits w2a2]      # measure, then draw
    python benchmarks/roofline.py --draw                              # only draw the record that is there

Writes benchmarks/roofline.json and docs/roofline.svg. The limits are measured, too: of the multiplier by the fastest
direct convolution of the network, of memory by NumPy's sum over 64 MB and over 512 kB.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

import kompakt
from kompakt import _native
from kompakt.artifact import Program, check, from_bytes
from kompakt.bench._cores import pinned
from kompakt.bench._machine import machine
from kompakt.measure import layer_costs
from kompakt.report.svg import tag
from kompakt.strategy.sources import load_model
from kompakt.strategy.untrained import BitWord, pack_untrained
from kompakt.zoo import noise

ROOT = Path(__file__).parents[1]
RECORD, PICTURE = ROOT / "benchmarks" / "roofline.json", ROOT / "docs" / "roofline.svg"
REPETITIONS = 50
COLOURS = {"winograd": "#1b6ca8", "dot": "#2a9d5c", "planes": "#c1440e", "gemv": "#8a4fbf", "depthwise": "#b8860b"}
OTHER = "#888888"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 380, 60, 40, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--bits", default="w2a2")
    parser.add_argument("--draw", action="store_true")
    arguments = parser.parse_args()
    if not arguments.draw:
        RECORD.write_text(json.dumps(measure(arguments.net, arguments.bits), indent=1) + "\n")
    PICTURE.write_text(draw(json.loads(RECORD.read_text())) + "\n")


def measure(net: str, bits: str) -> dict[str, Any]:
    source = load_model(f"zoo:{net}")
    assert source.input_shape is not None, "networks of the zoo name their input"
    data = pack_untrained(source, noise(source.input_shape, 8), BitWord.parse(bits))
    program, engine = from_bytes(data)[0], kompakt.load(data)
    traffic, kernels = bytes_moved(program), {row["node"]: row for row in engine.kernels()}
    x = noise(source.input_shape, 1)
    with pinned(1):
        direct = _native.Engine(data, 1, engine.isa, "dot_u8s8")
        stages = engine.profile(x, REPETITIONS)
        fastest = max(
            row["macs"] / stage["seconds"]
            for stage in direct.profile(x, REPETITIONS)
            for row in direct.kernels()
            if row["node"] == stage["node"] and row["kernel"].startswith("dot")
        )
        limits = {"multiplier_macs_s": fastest, "memory_b_s": read_speed(1 << 26), "cache_b_s": read_speed(1 << 19)}
    rows = [
        {**stage, "kernel": kernels.get(stage["node"], {}).get("kernel"),
         "macs": kernels.get(stage["node"], {}).get("macs"), "bytes": traffic.get(stage["node"])}
        for stage in stages
    ]  # fmt: skip
    facts = machine()
    about = {"net": net, "bits": bits, "isa": engine.isa, "cpu": facts["cpu"], "commit": facts["commit"]}
    return {**about, "limits": limits, "stages": rows}


def bytes_moved(program: Program) -> dict[str, int]:
    """Layer -> bytes that it must read and write at least: weights as stored, input codes, output codes."""
    types = check(program)
    costs = {cost.name: cost for cost in layer_costs(program)}
    found = {}
    for node in program.nodes:
        if node.name in costs:
            values = math.prod(types[node.inputs[0]].shape) + math.prod(types[node.name].shape)
            found[node.name] = costs[node.name].weight_bytes + values
    return found


def read_speed(size: int) -> float:
    """Bytes per second of a sum over so many bytes, the fastest of many."""
    words = np.ones(size // 8, np.uint64)
    best = math.inf
    for _ in range(50):
        start = time.perf_counter()
        np.add.reduce(words)
        best = min(best, time.perf_counter() - start)
    return size / best


def draw(record: dict[str, Any]) -> str:
    total = sum(stage["seconds"] for stage in record["stages"])
    title = (
        f"{record['net']} {record['bits'].upper()}, {record['isa']}, {record['cpu']}, one thread, batch 1: "
        f"{total * 1e3:.2f} ms"
    )
    parts = [text(LEFT, 20, title, size=14), *bars(record, total), *roofline(record), *legend()]
    box = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}", "font-family": "sans-serif"}
    return str(tag("svg", tag("rect", width="100%", height="100%", fill="white"), *parts, **box))


def bars(record: dict[str, Any], total: float) -> list[Any]:
    """Left half: a bar per stage, as wide as its share of the time."""
    stages = record["stages"]
    height = (HEIGHT - TOP - BOTTOM) / len(stages)
    longest = max(stage["seconds"] for stage in stages)
    parts: list[Any] = []
    for i, stage in enumerate(stages):
        y, width = TOP + i * height, 180 * stage["seconds"] / longest
        parts.append(text(LEFT + 95, y + 0.75 * height, stage["node"][:22], size=9, anchor="end"))
        parts.append(tag("rect", x=LEFT + 100.0, y=y + 1, width=width, height=height - 2, fill=colour(stage["kernel"])))
        share = f"{100 * stage['seconds'] / total:.1f} %"
        parts.append(text(LEFT + 104 + width, y + 0.75 * height, share, size=9))
    return [*parts, text(LEFT + 100, HEIGHT - 15, "share of the time, stages in order", size=11)]


def roofline(record: dict[str, Any]) -> list[Any]:
    """Right half: GMAC/s over MACs per byte, both logarithmic, with the measured limits."""
    left, right, limits = 480, WIDTH - 20, record["limits"]
    layers = [stage for stage in record["stages"] if stage["macs"] and stage["bytes"]]
    xs = [stage["macs"] / stage["bytes"] for stage in layers]
    low_x, high_x = min(1.0, *xs) / 1.5, max(1000.0, *xs) * 1.5
    speeds = [stage["macs"] / stage["seconds"] for stage in layers]
    low_y, high_y = min(*speeds, limits["multiplier_macs_s"] / 30) / 1.5, 2 * max(*speeds, limits["multiplier_macs_s"])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - math.log(low_x)) / (math.log(high_x) - math.log(low_x))
        up = (math.log(y) - math.log(low_y)) / (math.log(high_y) - math.log(low_y))
        return left + across * (right - left), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts: list[Any] = [
        tag("rect", x=left, y=TOP, width=right - left, height=HEIGHT - TOP - BOTTOM, fill="none", stroke="#ccc")
    ]
    for name, speed in (("memory", limits["memory_b_s"]), ("L2", limits["cache_b_s"])):
        knee = min(max(limits["multiplier_macs_s"] / speed, low_x), high_x)
        start = place(max(low_x, low_y / speed), max(low_y, low_x * speed))
        parts += [
            line(start, place(knee, knee * speed)),
            text(start[0] + 6, start[1] - 14, f"{name} {speed / 1e9:.0f} GB/s", 10),
        ]
    roof = [place(low_x, limits["multiplier_macs_s"]), place(high_x, limits["multiplier_macs_s"])]
    label = f"fastest direct convolution {limits['multiplier_macs_s'] / 1e9:.0f} GMAC/s"
    parts += [line(*roof), text(right - 4, roof[1][1] + 14, label, 10, "end")]
    for stage, x, y in zip(layers, xs, speeds, strict=True):
        cx, cy = place(x, y)
        parts.append(
            tag(
                "circle", tag("title", stage["node"]), cx=cx, cy=cy, r=4, fill=colour(stage["kernel"]), fill_opacity=0.8
            )
        )
    for power in range(math.ceil(math.log10(low_x)), math.floor(math.log10(high_x)) + 1):
        parts.append(text(place(10.0**power, low_y)[0], HEIGHT - BOTTOM + 14, f"{10**power:g}", 10, "middle"))
    for power in range(math.ceil(math.log10(low_y)), math.floor(math.log10(high_y)) + 1):
        parts.append(text(left - 4, place(low_x, 10.0**power)[1] + 4, f"{10.0 ** (power - 9):g}", 10, "end"))
    return [*parts, text(left, HEIGHT - 15, "GMAC/s over MACs per byte (weights as stored, one byte per value)", 11)]


def legend() -> list[Any]:
    parts: list[Any] = []
    for i, (name, fill) in enumerate({**COLOURS, "other": OTHER}.items()):
        parts += [tag("rect", x=490 + 66 * i, y=26, width=9, height=9, fill=fill), text(502 + 66 * i, 34, name, 10)]
    return parts


def colour(kernel: str | None) -> str:
    return COLOURS.get((kernel or "").split("_")[0], OTHER)


def line(start: tuple[float, float], end: tuple[float, float]) -> Any:
    return tag("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], stroke="#444", stroke_dasharray="4 3")


def text(x: float, y: float, words: str, size: int = 11, anchor: str = "start") -> Any:
    return tag("text", words, x=float(x), y=float(y), font_size=size, text_anchor=anchor, fill="#222")


if __name__ == "__main__":
    main()
