"""Numbers and words for people: grouped digits, units, signs. Typographic here; `plain` turns them into ASCII."""

from __future__ import annotations

THIN = "\u202f"  # narrow no-break space: between groups of digits, and between a number and its unit
MINUS = "\u2212"
DASH = "\u2013"  # shown for "not measured"
TIMES = "\u00d7"


def count(value: float | None, unit: str = "") -> str:
    """`1092520` -> `1 092 520`, with the unit where given."""
    if value is None:
        return DASH
    return f"{value:,.0f}".replace(",", THIN).replace("-", MINUS) + (THIN + unit if unit else "")


def size(value: float | None) -> str:
    """Exact bytes: `83 312 B`."""
    return count(value, "B")


def short(value: float | None, unit: str = "") -> str:
    """Three significant digits and a decimal prefix: `40.8 M`."""
    if value is None:
        return DASH
    prefixes = iter(("", "k", "M", "G", "T", "P", "E"))
    prefix = next(prefixes)
    while abs(value) >= 999.5 and prefix != "E":
        value, prefix = value / 1000, next(prefixes)
    digits, tail = f"{value:.3g}", f"{prefix}{unit}"
    return digits.replace("-", MINUS) + (THIN + tail if tail else "")


def percent(value: float | None, digits: int = 2) -> str:
    """A value that already is in percent: `91.73 %`."""
    return DASH if value is None else f"{value:.{digits}f}".replace("-", MINUS) + THIN + "%"


def share(part: float | None, whole: float | None) -> str:
    """Part of a whole in percent, one digit; `<0.1 %` for traces."""
    if part is None or not whole:
        return DASH
    value = 100 * part / whole
    return f"<0.1{THIN}%" if 0 < value < 0.05 else percent(value, 1)


def points(value: float | None) -> str:
    """A difference of percentages, signed: `−1.31 pt`."""
    if value is None:
        return DASH
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", MINUS) + THIN + "pt"


def ratio(before: float | None, after: float | None) -> str:
    """How many times smaller: `13.1×`."""
    if before is None or not after:
        return DASH
    value = before / after
    return (f"{value:.1f}" if value < 100 else f"{value:.0f}") + TIMES


def number(value: float | None) -> str:
    """A free number with four significant digits."""
    return DASH if value is None else f"{value:.4g}".replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """`4 h 12 min`, `3 min 20 s` or `41 s`."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.3g}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60}{THIN}min"


def milliseconds(value: float | None) -> str:
    """`0.64 ms`."""
    return DASH if value is None else f"{value:.3g}{THIN}ms"


def bits(value: float | None) -> str:
    """A bit-width: whole, fractional, or 32 for float."""
    if value is None:
        return DASH
    return "float" if value >= 32 else f"{value:g}"


def clip(text: object, limit: int = 200) -> str:
    """Text cut at `limit` characters, so that a hostile name cannot fill the page."""
    text = str(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain(text: str) -> str:
    """The same text for a terminal or a CSV file, in ASCII where Kompakt wrote it."""
    for fancy, ascii_ in ((THIN, " "), (MINUS, "-"), (DASH, "-"), (TIMES, "x")):
        text = text.replace(fancy, ascii_)
    return text
