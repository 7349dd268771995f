"""Accuracy and size tables of the results page."""

from __future__ import annotations

from collections.abc import Sequence

from ._entries import Entry
from ._markdown import MISSING, count, millions, table
from ._records import AccuracyRecord

ACCURACY_HEADER = (
    "recipe", "method", "network", "data", "bits", "mean bits W / A>", "seeds>", "float top-1 %>", "engine top-1 %>",
    "gap to float>", "goal", "published %>", "published in", "file bytes>", "goes on from", "taught by", "epochs>",
    "training min>", "on threads>",
)  # fmt: skip
# In the order of the page: heading, and what stands below it.
PROTOCOLS = {
    "short": (
        "Trained, short protocol",
        "From the pretrained network with the float network as teacher, at most 40 core minutes, so that methods can "
        "be compared: ten epochs, 16 with binary and ternary weights, five where every step computes the loss twice. "
        "The network of three bit-widths has an hour, for three.",
    ),
    "long": (
        "Trained, long protocol",
        "As many epochs as the recipe says, one hour to two on one core: what a method reaches when it is given time. "
        "*Taught by* names the teacher where it is not the float network itself; *goes on from*, the run whose trained "
        "network was the start, after the epochs that stand there.",
    ),
    "published-schedule": (
        "Trained, published schedule",
        "The schedule of the method's paper; *import* marks networks that its authors trained.",
    ),
    "ptq": ("Without training", "A few hundred images without labels, seconds to minutes."),
}


def accuracy_section(found: list[Entry]) -> str:
    """A table per protocol: top-1 in the engine beside the float network, the goal, and what others published."""
    parts = []
    for protocol, (title, text) in PROTOCOLS.items():
        chosen = [entry for entry in found if entry.first.protocol == protocol]
        if chosen:
            parts += [f"### {title}", text, _without_empty(ACCURACY_HEADER, [_accuracy_row(entry) for entry in chosen])]
    return "\n\n".join(parts)


def _without_empty(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns in which no row says anything."""
    kept = [i for i in range(len(header)) if any(row[i] != MISSING for row in rows)]
    return table([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def text_section(found: list[Entry]) -> str:
    """Bits per character of language models in the engine beside the float network."""
    header = ("recipe", "network", "data", "bits", "float bits per character>", "engine bits per character>", "change>")
    return table(header, [_text_row(entry.first, entry.bits) for entry in found if is_of_characters(entry)])


def words_section(found: list[Entry]) -> str:
    """Perplexity of language models that read token numbers, in the engine beside the float network."""
    header = ("recipe", "network", "data", "bits", "float perplexity>", "engine perplexity>", "change>")
    return table(header, [_words_row(entry.first, entry.bits) for entry in found if entry.first.reads_tokens])


def is_of_characters(entry: Entry) -> bool:
    """Whether it is a language model that reads no token numbers."""
    return bool(entry.first.engine_bits) and not entry.first.reads_tokens


def _words_row(record: AccuracyRecord, bits: str) -> list[str]:
    before, after = record.float_bits or 0.0, record.engine_bits or 0.0
    change = f"{100 * (2 ** (after - before) - 1):+.2f} %"
    return [record.recipe, record.model, record.dataset, bits, f"{2**before:.2f}", f"{2**after:.2f}", change]


def _text_row(record: AccuracyRecord, bits: str) -> list[str]:
    before, after = record.float_bits or 0.0, record.engine_bits or 0.0
    change = f"{100 * (after / before - 1):+.2f} %" if before else MISSING
    return [record.recipe, record.model, record.dataset, bits, f"{before:.4f}", f"{after:.4f}", change]


def _accuracy_row(entry: Entry) -> list[str]:
    first = entry.first
    published, is_trained = first.published, entry.train_s is not None
    return [
        first.recipe, first.system, first.model, first.dataset, entry.bits, _mean_bits(first), count(len(entry.top1)),
        _percent(first.float_top1), _spread(entry.top1), MISSING if entry.gap is None else f"{entry.gap:+.2f}",
        _goal(entry), _percent(published.value if published else None), published.source if published else MISSING,
        count(first.file_bytes), first.start.removeprefix("runs/") or MISSING, first.teacher or MISSING,
        count(first.epochs or None),
        f"{entry.train_s / 60:.0f}" if entry.train_s is not None else MISSING,
        count(first.train_threads) if is_trained else MISSING,
    ]  # fmt: skip


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _mean_bits(record: AccuracyRecord) -> str:
    """Mean bits of weights / of activations."""
    parts = [record.mean_bits.get(part) for part in ("weights", "activations")]
    return " / ".join(_percent(bits) for bits in parts) if record.mean_bits else MISSING


def _spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})"


def _goal(entry: Entry) -> str:
    if entry.short_of_goal is None:
        return MISSING
    verdict = f"missed by {entry.short_of_goal:.2f}" if entry.short_of_goal > 0 else "reached"
    return f"{entry.first.goal_top1:.2f}: {verdict}"


def size_section(found: list[Entry]) -> str:
    """Bytes on disk of both files and what ours is made of; operations per image."""
    parts = sorted({part for entry in found for part in entry.first.file_breakdown})
    sizes = ("float file bytes>", "`.kpt` bytes>", "times smaller>", *(f"{part}>" for part in parts))
    header = ("recipe", "network", *sizes, "million MACs>", "million BOPs>")
    return table(header, [_size_row(entry.first, parts) for entry in found])


def _size_row(record: AccuracyRecord, parts: list[str]) -> list[str]:
    smaller = f"{record.float_bytes / record.file_bytes:.1f}" if record.file_bytes else MISSING
    breakdown = [count(record.file_breakdown.get(part)) for part in parts]
    sizes = [count(record.float_bytes), count(record.file_bytes), smaller, *breakdown]
    return [record.recipe, record.model, *sizes, millions(record.macs), millions(record.bops)]


def shortfalls(found: list[Entry]) -> list[str]:
    """A sentence per goal that was missed and per published number that was not reached."""
    lines = []
    for entry in found:
        first = entry.first
        if entry.short_of_goal:
            missed = f"{first.recipe}: {entry.mean_top1:.2f} %, {entry.short_of_goal:.2f} points short of its goal."
            lines.append(f"{missed} {first.goal_remark}".rstrip())
        if first.published and entry.mean_top1 < first.published.value:
            points = first.published.value - entry.mean_top1
            lines.append(f"{first.recipe}: {points:.2f} points below the published {first.published.value:.2f} %.")
    return lines


def provenance(found: list[Entry]) -> str:
    """Where each run came from."""
    rows = [
        [record.recipe, ", ".join(map(str, record.seeds)), record.commit or MISSING, record.machine or MISSING]
        for entry in found
        for record in entry.records
    ]
    return table(("recipe", "seed", "commit", "machine"), rows)
