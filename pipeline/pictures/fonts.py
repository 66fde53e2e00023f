"""Fonts for names in any script: DejaVu Sans, which comes with matplotlib, and installed ones for what it lacks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager, get_font, ttfFontProperty
from matplotlib.text import Text

from pipeline.errors import warn

DEFAULT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FAMILY = "DejaVu Sans"
NO_FONT = (
    "no installed font has some of the characters of names in figures, which show boxes instead; install one, such as "
    "Noto Sans CJK for Chinese, Japanese and Korean (Debian: fonts-noto-cjk)"
)


def set_fonts(figure: Figure) -> bool:
    """Let the texts of a drawn figure use installed fonts for characters that the default font lacks.

    Returns:
        Whether any text has changed, so that the figure has to be drawn again.
    """
    texts = figure.findobj(Text)
    found = find_fonts("".join(text.get_text() for text in texts))
    for text in texts if found else ():
        text.set_fontfamily([FAMILY, *map(_register, found)])
    return bool(found)


def find_fonts(text: str) -> list[Path]:
    """Return installed fonts for the characters of a text that the default font lacks; warn once if there are none."""
    missing = {ord(each) for each in text if not each.isspace()} - _characters(DEFAULT)
    found: list[Path] = []
    while missing:
        best = max(_installed(), key=lambda path: _rank(path, missing), default=DEFAULT)
        if not missing & _characters(best):
            warn(NO_FONT)
            break
        found.append(best)
        missing -= _characters(best)
    return found


def _rank(path: Path, missing: Iterable[int]) -> tuple[int, bool, bool, str]:
    """Return what orders fonts: how many of the missing characters one has, then how plain its letters are."""
    name = path.stem.lower()
    return len(_characters(path).intersection(missing)), "serif" not in name, "regular" in name, name


@cache
def _register(path: Path) -> str:
    """Let matplotlib, whose list of fonts may be older, know a font; return the name of its family."""
    fontManager.addfont(path)
    return ttfFontProperty(get_font(path)).name


@cache
def _installed() -> list[Path]:
    return [Path(each) for each in findSystemFonts()]


@cache
def _characters(path: Path) -> frozenset[int]:
    """Return the code points of a font; none if it has a format that cannot be read."""
    try:
        return frozenset(get_font(path).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()
