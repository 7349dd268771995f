"""Numbers for people."""

import pytest

from kompakt.report import text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.size(1092520), "1 092 520 B"),
        (text.size(None), "-"),
        (text.count(-3), "-3"),
        (text.short(0), "0"),
        (text.short(999.4), "999"),
        (text.short(999.6), "1 k"),
        (text.short(41_500_000_000), "41.5 G"),
        (text.short(1e18), "1 E"),
        (text.percent(91.734), "91.73 %"),
        (text.share(1, 3), "33.3 %"),
        (text.share(1, 100_000), "<0.1 %"),
        (text.share(0, 5), "0.0 %"),
        (text.share(1, 0), "-"),
        (text.points(-1.355), "-1.35 pt"),
        (text.points(-0.001), "+0.00 pt"),
        (text.points(0.4), "+0.40 pt"),
        (text.ratio(1092520, 87800), "12.4x"),
        (text.ratio(2200, 10), "220x"),
        (text.ratio(10, 0), "-"),
        (text.duration(41), "41 s"),
        (text.duration(200), "3 min 20 s"),
        (text.duration(15120), "4 h 12 min"),
        (text.bits(2.5), "2.5"),
        (text.bits(32), "float"),
        (text.bits(None), "-"),
    ],
)
def test_numbers_are_grouped_signed_and_carry_their_unit(shown, expected):
    assert text.plain(shown) == expected


def test_long_text_is_cut():
    assert text.clip("x" * 500, 20) == "x" * 19 + "…"
    assert text.clip("short") == "short"
