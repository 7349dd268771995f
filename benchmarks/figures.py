"""Kompakt alone: start, memory, wheel, call overhead, threads, code books, blocks, share of the memory's speed.

    python benchmarks/figures.py [--only NAME-PART] [--wheel kompakt-*.whl]

Writes benchmarks/figures/NAME-LEVEL.json for every level of this CPU; `kompakt results` puts them on the page.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kompakt
from kompakt import _native
from kompakt.bench._clock import alternate
from kompakt.bench._cores import pinned
from kompakt.bench._machine import machine
from kompakt.bench._statistics import paired_ratio
from kompakt.bench.footprint import allowed_bytes, extra_bytes, first_result_s
from kompakt.strategy.sources import ModelSource, load_model
from kompakt.strategy.untrained import BitWord, pack_untrained
from kompakt.zoo import FullyConnected, noise

ROOT = Path(__file__).parents[1]
ROUNDS, SECONDS = 20, 3.0
MEGA = 1e6
Figure = dict[str, Any]
SHARE_BOUNDS = {
    "avx2-w1": "instructions: 12 vector operations per 256 weights take 3.5 cycles, reading their 32 bytes 1.2.",
    "avx2-w2": "instructions: 12 vector operations per 128 weights take 3.5 cycles, reading their 32 bytes 1.2.",
    "avx2-w4": "instructions: 3.75 vector operations per 32 weights take 0.95 cycles, reading their 16 bytes 0.6.",
    "avx512-w1": "instructions: two look-ups, 2.75 additions per 448 weights take 3.1 cycles, reading 64 bytes 2.4.",
    "avx512-w2": "instructions: a vpdpbusd takes a cycle per 64 weights, reading their 16 bytes 0.6.",
    "avx512-w4": "64 weights take a cycle to multiply and 1.2 to read, overlapping in part; reading ahead was slower.",
}
"""Why products take longer than reading, as measured on one core of a Zen 4 at 3.7 GHz."""
CODE_BOOK_BOUNDS = {
    "avx2": "learned levels exceed a byte once transformed: layers of 256 channels take 700 us by Winograd on 16 "
    "bits, uniform ones 480 on bytes; those of 512 channels 870 by pairs of planes, uniform ones 565.",
    "avx512": "learned levels exceed a byte once transformed: Winograd on 16 bits takes 300 to 600 us a layer, on "
    "bytes 264 to 315.",
}
BLOCKS_BOUND = (
    "of 18.4 us with 16 blocks the products take 13.0, less than a 16th of the dense layer's 240; permutations take "
    "1.9 and 2.7, codes of the input 0.7, the call 1.5."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--wheel", type=Path)
    arguments = parser.parse_args()
    folder = ROOT / "benchmarks" / "figures"
    folder.mkdir(exist_ok=True)
    for isa in [level for level in _native.isa_levels() if level != "portable"]:
        os.environ["KOMPAKT_ISA"] = isa
        for make in (start, memory, overhead, threads, code_books, blocks, bandwidth):
            if arguments.only in make.__name__:
                for name, figure in make():
                    keep(folder / f"{name}-{isa}.json", figure | {"isa": isa})
    if arguments.only in "wheel":
        keep(folder / "wheel.json", wheel(arguments.wheel))


def keep(path: Path, figure: Figure) -> None:
    facts = machine()
    record = figure | {"machine": facts["cpu"], "commit": facts["commit"]}
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(
        f"{path.stem}: {record['value']:g} {record['unit']} (goal {record['relation']} {record['goal']:g})", flush=True
    )


@functools.cache
def packed(net: str, bits: str) -> bytes:
    source = load_model(f"zoo:{net}")
    assert source.input_shape is not None, "networks of the zoo name their input"
    return pack_untrained(source, noise(source.input_shape, 8), BitWord.parse(bits))


def saved(net: str, bits: str, folder: str) -> Path:
    path = Path(folder) / f"{net}-{bits}.kpt"
    path.write_bytes(packed(net, bits))
    return path


def ratio(name: str, first: Callable, second: Callable, x: np.ndarray, clock: str, **fields: Any) -> Figure:
    """Time of `first` divided by that of `second`."""
    pair = alternate(second, first, x, ROUNDS, SECONDS)
    found = paired_ratio(pair[1].rounds(clock), pair[0].rounds(clock))
    return {
        "name": name,
        "value": round(found.median, 3),
        "band": [round(b, 3) for b in found.band],
        "unit": "x",
        **fields,
    }


def start() -> Iterator[tuple[str, Figure]]:
    with tempfile.TemporaryDirectory() as folder, pinned(1):
        seconds = first_result_s(saved("resnet20", "w2a2", folder))
    low, middle, high = np.percentile(seconds, (10, 50, 90)).round(4).tolist()
    how = "fresh process: import, load, first result, over a process that imports NumPy; median of 10"
    yield "start", {
        "name": "ResNet-20 W2A2: import, load, first result", "value": middle, "band": [low, high], "unit": "s",
        "relation": "<=", "goal": 0.25, "how": how,
    }  # fmt: skip


def memory() -> Iterator[tuple[str, Figure]]:
    for net in ("resnet20", "resnet18"):
        with tempfile.TemporaryDirectory() as folder:
            path = saved(net, "w2a2", folder)
            found, allowed = extra_bytes(path), allowed_bytes(path)
        how = "peak resident memory over Python with NumPy; goal: 1.5 x file + values at once + 8 MB"
        yield f"memory-{net}", {
            "name": f"{net} W2A2: memory", "value": round(found / MEGA, 2), "unit": "MB", "relation": "<=",
            "goal": round(allowed / MEGA, 2), "how": how,
        }  # fmt: skip


def overhead() -> Iterator[tuple[str, Figure]]:
    """A call of a network that computes next to nothing."""
    net = ModelSource(FullyConnected(4, 4), "tiny", (4,), end_bits=None)
    engine = kompakt.load(pack_untrained(net, noise((4,), 8), BitWord.parse("w8a8")))
    with pinned(1):
        times = alternate(engine, engine, noise((4,), 1), ROUNDS, SECONDS)[0].samples("cpu") * 1000
    low, middle, high = np.percentile(times, (10, 50, 90)).round(2).tolist()
    how = "a 4x4 layer, NumPy array in and out, CPU time; its work is included"
    yield "overhead", {
        "name": "call overhead", "value": middle, "band": [low, high], "unit": "us", "relation": "<=", "goal": 3.0,
        "how": how,
    }  # fmt: skip


def threads() -> Iterator[tuple[str, Figure]]:
    x = noise((3, 224, 224), 1)
    with pinned(2):
        one, two = (kompakt.load(packed("resnet18", "w2a2"), threads=count) for count in (1, 2))
        how = "time with one thread / with two, wall clock, batch 1"
        found = ratio("ResNet-18 W2A2: two threads", one, two, x, "wall", relation=">=", goal=1.6, how=how)
    yield "threads", found


def code_books() -> Iterator[tuple[str, Figure]]:
    goal = 1.1 if os.environ["KOMPAKT_ISA"] == "avx2" else 1.05
    for net, bits in (("resnet18", "w2a2"), ("linear_4096", "w2a8"), ("linear_9216", "w2a8")):
        learned, uniform = (kompakt.load(packed(net, word)) for word in (f"{bits}-lq", bits))
        with pinned(1):
            found = ratio(
                f"{net} {bits.upper()}: learned levels", learned, uniform, noise(learned.input_shape, 1), "cpu",
                relation="<=", goal=goal, how="time with learned levels of weights / with uniform ones, CPU time",
            )  # fmt: skip
        bound = CODE_BOOK_BOUNDS.get(os.environ["KOMPAKT_ISA"], "") if net == "resnet18" else ""
        yield f"code_books-{net}", found | {"bound": bound}


def blocks() -> Iterator[tuple[str, Figure]]:
    """Permuted block-diagonal weights against dense ones of the same outer shape."""
    for count in (8, 16):
        dense, sparse = (kompakt.load(packed(net, "w8a8")) for net in ("linear_4096", f"block_diagonal_{count}"))
        with pinned(1):
            found = ratio(
                f"4096x4096 W8A8 in {count} blocks", dense, sparse, noise(dense.input_shape, 1), "cpu", relation=">=",
                goal=float(count), how="time of the dense layer / of the block-diagonal one, permutations included",
            )  # fmt: skip
        yield f"blocks-{count}", found | {"bound": BLOCKS_BOUND}


def bandwidth() -> Iterator[tuple[str, Figure]]:
    """Reading the packed weights without doing anything with them, as fast as NumPy sums 64-bit words."""
    goal = 85.0 if os.environ["KOMPAKT_ISA"] == "avx2" else 90.0
    for net in ("linear_4096", "linear_9216"):
        for bits in (1, 2, 4):
            engine = kompakt.load(packed(net, f"w{bits}a8"))
            inputs, outputs = engine.input_shape[0], engine.output_shape[0]
            words = np.ones(inputs * outputs * bits // 64, np.uint64)
            with pinned(1):
                share = ratio(
                    f"{net} W{bits}: share of a plain read", lambda x, words=words: np.add.reduce(words), engine,
                    noise((inputs,), 1), "cpu", relation=">=", goal=goal,
                    how="time of NumPy's sum of as many bytes as the weights have / time of the layer",
                )  # fmt: skip
            share |= {"value": round(100 * share["value"], 1), "band": [round(100 * b, 1) for b in share["band"]]}
            bound = SHARE_BOUNDS.get(f"{os.environ['KOMPAKT_ISA']}-w{bits}", "")
            yield f"bandwidth-{net}-w{bits}", share | {"unit": "%", "bound": bound}


def wheel(path: Path | None) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, str(ROOT)]
            subprocess.run(command, check=True)
            (path,) = Path(folder).glob("*.whl")
        size = path.stat().st_size
    how = "pip wheel: Python, engine and the library for `bench --hide`"
    return {
        "name": "wheel", "value": round(size / MEGA, 3), "unit": "MB", "relation": "<=", "goal": 2.0, "how": how,
    }  # fmt: skip


if __name__ == "__main__":
    main()
