"""Colours have enough contrast in both themes."""

import re
from importlib.resources import files

import pytest

CSS = files("kompakt.report").joinpath("style.css").read_text(encoding="utf-8")


def palettes():
    blocks = re.findall(r":root[^{]*\{([^}]*--paper[^}]*)\}", CSS)
    assert len(blocks) == 3
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_has_contrast_of_4_5_and_drawings_of_3(theme):
    colours = palettes()[theme]
    for ground in ("paper", "raised", "faint"):
        for name in ("ink", "soft", "accent", "level", "bad", "good"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert contrast(colours["outline"], colours["raised"]) >= 3


def test_the_chosen_and_the_automatic_dark_theme_are_one():
    _, automatic, chosen = palettes()
    assert automatic == chosen
