"""Texts as a picture can hold them: inert, cut, and made of characters that the font has."""

from functools import cache
from pathlib import Path

from rlvr.views.terminal.text import one_line

FONT = "DejaVu Sans"
"""The font that comes with matplotlib, so that a picture is the same on every machine."""


def label(text: str, limit: int = 40) -> str:
    """The text on one line, cut at about `limit` characters, drawable in FONT.

    A character that the font lacks, such as an emoji, appears as its escape, `\\U0001f527`.
    """
    shown = one_line(text, limit)
    if shown.isascii():
        return shown
    glyphs = _glyphs()
    return "".join(c if ord(c) in glyphs else _escape(ord(c)) for c in shown)


@cache
def _glyphs() -> frozenset[int]:
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    font = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(FT2Font(str(font)).get_charmap())


def _escape(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
