"""Drawing primitives of the timelines: stacked axes over time, bars, curves and labels."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eval.report.fonts import QuietFigure, families_for
from eval.segments import Segments

INK, GREY, PALE = "#1f2328", "#656d76", "#d8dce1"
DPI = 150
HEADING = 0.22  # inches between the middle of the heading and the top


def stacked_axes(
    width: float,
    heights: Sequence[float],
    limits: tuple[float, float],
    heading: str,
    *,
    left: float,
    bottom: float,
) -> tuple[Figure, list[Axes]]:
    """Makes a figure of axes stacked over the same time axis; all sizes in inches.

    Args:
        width: Width of the figure.
        heights: Height of each axes, from top to bottom.
        limits: Start and end of the time axis in seconds.
        heading: Text at the top.
        left, bottom: Margins of the axes.
    """
    top, gap, right = 0.5, 0.12, 0.35
    total = top + sum(heights) + gap * (len(heights) - 1) + bottom
    figure = QuietFigure((width, total), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)  # not pyplot, which keeps every figure in memory
    text = shortened(heading, 80)
    style = {**name_style(text, "bold"), "color": INK, "size": 11, "va": "center"}
    figure.text(0.012, 1 - HEADING / total, text, **style)
    stack = []
    y = total - top
    for height in heights:
        y -= height
        box = (left / width, y / total, 1 - (left + right) / width, height / total)
        axes = figure.add_axes(box, xlim=limits, ylim=(0, 0.1), yticks=[])
        axes.grid(axis="x", color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(PALE)
        axes.tick_params(length=0, labelsize=8, labelcolor=GREY, labelbottom=False)
        axes.yaxis.tick_right()
        stack.append(axes)
        y -= gap
    stack[-1].tick_params(labelbottom=True)
    stack[-1].set_xlabel("seconds", color=GREY, size=8, labelpad=2)
    return figure, stack


def draw_bars(
    axes: Axes,
    rows: Segments,
    top: NDArray[np.floating] | float,
    height: float,
    colour: str,
    opacity: NDArray[np.float64] | None = None,
    filled: NDArray[np.bool_] | None = None,
) -> None:
    """Draws segments as bars; in long videos their outline keeps them visible.

    Args:
        axes: Axes to draw on, whose y axis points down.
        rows: N segments.
        top: Upper edge of the bars, one or (N,).
        height: Height of the bars.
        colour: Colour of the bars.
        opacity: (N,) opacity; by default 1.
        filled: (N,) whether a bar is filled or hollow; by default all are filled.
    """
    edges = [to_rgba(colour, a) for a in (np.ones(len(rows)) if opacity is None else opacity)]
    faces = edges if filled is None else [to_rgba(colour, float(full)) for full in filled]
    y = np.broadcast_to(top, len(rows))
    corners = np.dstack(
        [
            np.stack([rows.start, rows.start, rows.end, rows.end], axis=1),
            np.stack([y, y + height, y + height, y], axis=1),
        ]
    )
    bars = PolyCollection(list(corners), facecolors=faces, edgecolors=edges, linewidths=0.8)
    axes.add_collection(bars, autolim=False)


def shade(axes: Axes, rows: Segments, colour: str) -> None:
    """Shades the times of the segments over the whole height of the axes."""
    spans = list(zip(rows.start, rows.end - rows.start, strict=True))
    place = axes.get_xaxis_transform()
    axes.broken_barh(spans, (0, 1), color=to_rgba(colour, 0.13), lw=0, zorder=0, transform=place)


def draw_curve(
    axes: Axes,
    values: NDArray[np.floating],
    duration: float,
    colour: str,
    *,
    filled: bool = False,
) -> None:
    """Draws a curve of scores, each at the start of its snippet.

    Args:
        axes: Axes to draw on, whose y axis grows to hold the values.
        values: (T,) scores of the sampled snippets.
        duration: Seconds that the T snippets cover.
        colour: Colour of the curve.
        filled: Whether to fill the area below.
    """
    if not len(values):
        return
    seconds = np.arange(len(values) + 1) * (duration / len(values))
    values = np.append(values, values[-1])
    axes.plot(seconds, values, color=colour, linewidth=1, solid_joinstyle="round")
    if filled:
        axes.fill_between(seconds, values, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(0, max(1.1 * values.max(), axes.get_ylim()[1]))
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter("{x:g}")


def write_label(axes: Axes, y: float, text: str, colour: str, size: int = 9, **style: Any) -> None:
    """Writes to the left of the axes."""
    style |= {"ha": "right", "va": "center", "color": colour, "size": size}
    style |= name_style(text, style.get("weight", "normal"))
    axes.text(-0.012, y, text, transform=axes.get_yaxis_transform(), **style)


def write_key(figure: Figure, colours: Mapping[str, str]) -> None:
    """Writes names in their colours to the right of the heading."""
    names: list[Artist] = []
    for name, colour in colours.items():
        text = f"\N{BLACK SQUARE} {shortened(name, 24)}"
        style = {**name_style(text), "color": colour, "size": 10}
        names.append(TextArea(text, textprops=style))
    line = HPacker(children=names, pad=0, sep=12)
    place: dict[str, Any] = {
        "bbox_to_anchor": (0.97, 1 - HEADING / figure.get_figheight()),
        "bbox_transform": figure.transFigure,
    }
    figure.add_artist(
        AnchoredOffsetbox("center right", child=line, frameon=False, pad=0, borderpad=0, **place)
    )


def name_style(text: str, weight: str = "normal") -> dict[str, Any]:
    """The style of a text that may hold any name: fonts that have its characters, no formulas."""
    return {"family": families_for(text, weight), "weight": weight, "parse_math": False}


def shortened(text: str, most: int) -> str:
    """The text, cut to the width of `most` Latin letters; those of East Asia are twice as wide."""
    ends = list(accumulate(2 if east_asian_width(letter) in "WF" else 1 for letter in text))
    if not ends or ends[-1] <= most:
        return text
    return text[: sum(end < most for end in ends)] + "\N{HORIZONTAL ELLIPSIS}"


def count_text(number: int, what: str, shown: int | None = None) -> str:
    """A count in words, such as "no instance", "1 instance" or "7 of 12 detections"."""
    if number == 0:
        return f"no {what}"
    part = "" if shown is None else f"{shown} of "
    return f"{part}{number} {what}" + "s" * (number > 1)
