"""Fonts for names in any script: those of the system stand in where that of matplotlib ends."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.transforms import Bbox

BASE = "DejaVu Sans"  # comes with matplotlib; has neither Chinese, Japanese, Korean nor most emoji
# Prefixes of families with many characters, which are tried first.
WIDE = (
    *("Noto Sans CJK", "Source Han Sans", "PingFang", "Hiragino Sans", "Microsoft YaHei", "SimHei"),
    *("WenQuanYi", "Droid Sans Fallback", "Malgun Gothic", "Yu Gothic", "Arial Unicode MS"),
    *("Noto Sans", "Noto Emoji", "Segoe UI", "Symbola", "Unifont"),
)
# Colour fonts are images, which matplotlib cannot draw, and the last resort has only placeholders.
UNUSABLE = ("color", "last resort")


class QuietFigure(Figure):
    """A figure that draws a placeholder for a character that no font has, without a warning."""

    def draw(self, renderer: RendererBase) -> None:
        """Draws the figure."""
        with _without_warnings():
            super().draw(renderer)

    def get_tightbbox(self, renderer: RendererBase | None = None, **options: Any) -> Bbox:
        """The box around everything drawn, which needs the sizes of all texts."""
        with _without_warnings():
            return super().get_tightbbox(renderer, **options)


def families_for(text: str, weight: str = "normal") -> list[str]:
    """The font families in which to draw a text: that of matplotlib, and those it lacks.

    Args:
        text: Any text.
        weight: Weight of the font.
    """
    with _without_warnings():
        found = {_family_with(letter, weight) for letter in text if not letter.isspace()}
    return [BASE, *sorted(name for name in found if name and name != BASE)]


@cache
def _family_with(letter: str, weight: str) -> str | None:
    """The first usable family that has a character; None if there is none."""
    return next((family for family in _families() if _has(family, weight, letter)), None)


@cache
def _families() -> list[str]:
    """The usable families: that of matplotlib, those with many characters, all others."""
    names = {entry.name for entry in fontManager.ttflist}
    usable = [name for name in names if not any(word in name.lower() for word in UNUSABLE)]
    return sorted(usable, key=lambda name: (name != BASE, not name.startswith(WIDE), name))


def _has(family: str, weight: str, letter: str) -> bool:
    """Whether the font that matplotlib takes for this family and weight has a character."""
    try:
        path = findfont(FontProperties(family=[family], weight=weight), fallback_to_default=False)
        return get_font(path).get_char_index(ord(letter)) > 0
    except (OSError, RuntimeError, ValueError):  # removed since its name was listed, or damaged
        return False


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hides the warnings about missing characters and about fonts that are not bold."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            yield
    finally:
        logger.setLevel(level)
