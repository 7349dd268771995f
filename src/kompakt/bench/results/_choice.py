"""What the records say about choosing: the best at a size, at bit-widths, of a network, and on a processor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ._entries import Entry
from ._goals import COLUMNS, column
from ._markdown import MISSING, table
from ._records import BenchRecord

NETWORK = "zoo:cifar10-resnet20"  # on which most methods were tried
SIZES = (3.5, 5, 7, 8, 10, 12, 15, 20)  # times smaller than the float network's file
LOSS = 0.5  # percentage points below float that still count as kept
INT8 = 8
YARDSTICK = "onnxruntime:fp32"
_BITS = re.compile(r"w(\d)a(\d)(-\w+)?")


def times_smaller(entry: Entry) -> float:
    """Bytes of the float network's file divided by those of ours."""
    return entry.first.float_bytes / entry.first.file_bytes


def figure(entry: Entry) -> str:
    """`91.83 % (+0.10), 3.8x smaller`."""
    gap = "" if entry.gap is None else f" ({entry.gap:+.2f})"
    return f"{entry.mean_top1:.2f} %{gap}, {times_smaller(entry):.1f}x smaller"


def by_size(found: Sequence[Entry]) -> str:
    """The most accurate file that is at least so many times smaller: without training, and with it."""
    rows = []
    for size in SIZES:
        small = [entry for entry in _on(found, NETWORK) if times_smaller(entry) >= size]
        without, trained = ([e for e in small if _is_trained(e) == wanted] for wanted in (False, True))
        if small:
            rows.append([f"{size:g}x", *_with_bits(best(without)), *_with_bits(best(trained))])
    return table(("at least", "without training", "bits", "gives", "with training", "bits", "gives"), rows)


def by_bits(found: Sequence[Entry]) -> str:
    """Trained networks by bit-widths, the most accurate first."""
    trained = [entry for entry in _on(found, NETWORK) if _is_trained(entry)]
    order = sorted(
        trained, key=lambda entry: (_width(entry, "weights"), _width(entry, "activations"), -entry.mean_top1)
    )
    rows = [
        [_inner_bits(entry), entry.first.system, *_named(entry), entry.first.protocol, _minutes(entry)]
        for entry in order
    ]
    return table(("bits", "method", "recipe", "gives", "protocol", "training min>"), rows)


def by_network(found: Sequence[Entry]) -> str:
    """For every network: what 8 bits without training cost, and the smallest file that keeps its accuracy."""
    rows = []
    for network in sorted({entry.first.model for entry in found if entry.gap is not None}):
        entries = [entry for entry in _on(found, network) if entry.gap is not None]
        kept = [entry for entry in entries if entry.gap is not None and entry.gap >= -LOSS]
        simple = [e for e in entries if not _is_trained(e) and _width(e, "weights") == _width(e, "activations") == INT8]
        smallest = max(kept, key=times_smaller, default=None)
        plain = figure(best(simple)) if simple else MISSING  # type: ignore[arg-type]
        rows.append([network.removeprefix("zoo:"), f"{entries[0].first.float_top1:.2f}", plain, *_named(smallest)])
    header = ("network", "float top-1 %>", "8 bits without training", f"smallest within {LOSS:g} points", "gives")
    return table(header, rows)


def by_processor(benches: Sequence[BenchRecord]) -> str:
    """Times faster than float32 in ONNX Runtime, by bit-widths; one image, one thread, weights random."""
    cells = {}
    for bench in benches:
        match, level = _BITS.fullmatch(bench.bits), column(bench)
        for row in bench.rows:
            if match and level and (row.engine, row.threads, row.batch) == (YARDSTICK, 1, 1):
                cells[bench.net, level, _word(match)] = row.ratio
    words = sorted({word for _, _, word in cells}, key=lambda word: (-int(word[1]), -int(word[4]), word))
    places = sorted({(net, level) for net, level, _ in cells}, key=lambda place: (place[0], [*COLUMNS].index(place[1])))
    rows = [[net, COLUMNS[level], *(_ratio(cells.get((net, level, word))) for word in words)] for net, level in places]
    return table(("network", "processor", *(f"{word}>" for word in words)), rows)


def best(found: Sequence[Entry]) -> Entry | None:
    """The most accurate, of equals the smallest."""
    return max(found, key=lambda entry: (entry.mean_top1, times_smaller(entry)), default=None)


def trained_at(found: Sequence[Entry], weights: str, activations: str) -> Entry | None:
    """The best trained network of these bit-widths, as the records write them."""
    return best([
        entry
        for entry in _on(found, NETWORK)
        if _is_trained(entry)
        and (str(entry.first.bits.get("weights")), str(entry.first.bits.get("activations"))) == (weights, activations)
    ])  # fmt: skip


def _on(found: Sequence[Entry], network: str) -> Iterator[Entry]:
    return (entry for entry in found if entry.first.model == network)


def _is_trained(entry: Entry) -> bool:
    return entry.first.protocol != "ptq"


def _width(entry: Entry, part: str) -> float:
    """Bits of the inner layers where they are one number, else their mean; 32 for float."""
    bits = entry.first.bits.get(part)
    return float(bits) if isinstance(bits, int | float) else entry.first.mean_bits.get(part, 32.0)


def _named(entry: Entry | None) -> tuple[str, str]:
    return (MISSING, MISSING) if entry is None else (f"`{entry.first.recipe}`", figure(entry))


def _with_bits(entry: Entry | None) -> tuple[str, str, str]:
    recipe, gives = _named(entry)
    return recipe, MISSING if entry is None else _inner_bits(entry), gives


def _inner_bits(entry: Entry) -> str:
    """`W2 A2`; where they differ from layer to layer, with the mean of weights and activations."""
    bits, means = entry.bits.partition(";")[0], entry.first.mean_bits.values()
    return f"{bits} ({' / '.join(f'{mean:.1f}' for mean in means)} on average)" if "mixed" in bits else bits


def _minutes(entry: Entry) -> str:
    return MISSING if entry.train_s is None else f"{entry.train_s / 60:.0f}"


def _word(match: re.Match[str]) -> str:
    return f"W{match[1]} A{match[2]}{' ' + match[3][1:] if match[3] else ''}"


def _ratio(ratio: float | None) -> str:
    return MISSING if ratio is None else f"{ratio:.1f}"
