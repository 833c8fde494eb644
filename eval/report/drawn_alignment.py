"""The figure of an alignment: similarities of the candidates of two videos, and the path over them.

Letters: L and M candidate snippets of the first and second video.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eval.report.alignments import DELETE, INSERT, MATCH, AlignedVideo, Alignment
from eval.report.drawing import GREY, INK, PALE, name_style, shortened

Floats = NDArray[np.float64]

# Colours of Okabe and Ito, distinguishable for the colour-blind; moves differ in their shape, too.
BLUE, VERMILION = "#0072B2", "#D55E00"
ATTENTION, INSTANCES = "#c9ced6", "#9fdcc7"
DARK = "#002b4a"
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#8fc1e3", BLUE, DARK])
MATCHING = LinearSegmentedColormap.from_list("matching", ["#8fc1e3", BLUE, DARK])
NOT_MATCHING = LinearSegmentedColormap.from_list("not matching", ["#ffffff", "#b4b9bf"])
MOVES = {MATCH: ("o", VERMILION), INSERT: ("v", "white"), DELETE: (">", "white")}
MOVE_NAMES = {MATCH: "match", INSERT: "insert", DELETE: "delete"}
SMALL, MEDIUM = 7.0, 8.0  # points
FEW = 8  # candidates of which each has a tick


class Scale(NamedTuple):
    """Colours of some of the cells.

    Attributes:
        colours: Colours from the lowest to the highest similarity.
        low, high: These similarities.
        shown: (L, M) which cells have these colours.
    """

    colours: Colormap
    low: float
    high: float
    shown: NDArray[np.bool_]


def draw_matrix(axes: Axes, alignment: Alignment, limits: tuple[float, float]) -> None:
    """Draws the similarities and the path.

    Args:
        axes: Empty axes; their rows are the candidates of the first video, from top to bottom.
        alignment: Alignment.
        limits: Similarities of the palest and of the darkest colour.
    """
    for colours, low, high, shown in scales(alignment, limits):
        cells = np.ma.masked_array(alignment.similarity, ~shown)
        axes.imshow(cells, colours, aspect="auto", interpolation="nearest", vmin=low, vmax=high)
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.7)
    draw_path(axes, alignment)
    rows, columns = alignment.similarity.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))  # the path begins outside


def scales(alignment: Alignment, limits: tuple[float, float]) -> list[Scale]:
    """The colours of the similarities: with a threshold grey up to it and blue above it."""
    similarity, threshold = alignment.similarity, alignment.threshold
    if threshold is None:
        return [Scale(BLUES, *limits, np.full(similarity.shape, True))]
    middle = min(max(threshold, limits[0]), limits[1])
    above = similarity > threshold
    return [
        Scale(NOT_MATCHING, limits[0], middle, ~above),
        Scale(MATCHING, middle, limits[1], above),
    ]


def draw_path(axes: Axes, alignment: Alignment) -> None:
    """Draws the path: a line through its cells, and a marker for each move."""
    moves = alignment.moves
    if not moves:
        return
    i, j, code = moves[0]
    before = (i - (code != DELETE), j - (code != INSERT))  # on the border: where the path begins
    line = [before, *((i, j) for i, j, _ in moves)]
    axes.plot(
        [j for _, j in line],
        [i for i, _ in line],
        color=INK,
        linewidth=1.2,
        path_effects=[withStroke(linewidth=2.6, foreground="white")],
        solid_joinstyle="round",
    )
    size = 6.5 if max(alignment.similarity.shape) <= FEW else 3.2
    # Gaps cost nothing in LCS: only matches count.
    marked = MOVES if alignment.threshold is None else {MATCH: ("s", VERMILION)}
    for code, (marker, colour) in marked.items():
        cells = [(i, j) for i, j, move in moves if move == code]
        axes.plot(
            [j for _, j in cells],
            [i for i, _ in cells],
            marker,
            markersize=size,
            color=colour,
            markeredgecolor=INK if colour == "white" else "white",
            markeredgewidth=0.8 if size > 4 else 0.4,
            zorder=3,
        )


def draw_candidate_ticks(axes: Axes, alignment: Alignment, pair: Sequence[AlignedVideo]) -> None:
    """Writes the start of candidates in seconds below and to the right of a matrix."""
    axes.yaxis.tick_right()
    for axis, video, chosen in zip(
        (axes.yaxis, axes.xaxis), pair, (alignment.first, alignment.second), strict=True
    ):
        count = len(chosen)
        places = np.arange(count)
        if count > FEW:
            places = np.unique(np.linspace(0, count - 1, 6).round().astype(int))
        texts = [f"{second:.1f}" for second in video.starts[chosen[places]]]
        axis.set_ticks(places, texts)
    axes.tick_params(length=2, width=0.6, color=GREY, labelsize=SMALL, labelcolor=GREY, pad=2)


def draw_strip(axes: Axes, video: AlignedVideo, chosen: NDArray[np.int64], upright: bool) -> None:
    """Draws the instance attention of a video over time, its instances and its candidates.

    Args:
        axes: Empty axes.
        video: Video.
        chosen: Its candidates.
        upright: Whether time runs from top to bottom; otherwise from left to right.
    """
    step = video.duration / max(len(video.starts), 1)
    time, height = np.append(video.starts, video.duration), np.append(video.attention, 0)
    height[-1] = height[-2]
    span, fill = (
        (axes.axhspan, axes.fill_betweenx) if upright else (axes.axvspan, axes.fill_between)
    )
    for instance in video.instances:
        if instance.can_be_found:
            span(instance.start, instance.end, color=INSTANCES, linewidth=0)
    fill(time, height, step="post", facecolor=ATTENTION, edgecolor=GREY, alpha=0.8, linewidth=0.6)
    middle = video.starts[chosen] + step / 2
    points = (video.attention[chosen], middle) if upright else (middle, video.attention[chosen])
    size = 3.4 if len(chosen) <= FEW else 2.0
    axes.plot(*points, "o", color=BLUE, markersize=size, markeredgewidth=0, clip_on=False, zorder=3)
    limits = (0.0, 1.05 * max(float(video.attention.max(initial=0)), 0.1))
    if upright:
        axes.set(ylim=(video.duration, 0), xlim=limits[::-1], xticks=[])
    else:
        axes.set(xlim=(0, video.duration), ylim=limits, yticks=[])
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
    axis = axes.yaxis if upright else axes.xaxis
    axis.set_major_locator(MaxNLocator(4))
    text = f"{shortened(video.name, 26)} (s)"
    axis.set_label_text(text, size=MEDIUM, color=INK, **name_style(text))
    axis.labelpad = 3
    axes.tick_params(length=2, width=0.6, color=GREY, labelsize=SMALL, labelcolor=GREY, pad=2)
    for spine in axes.spines.values():
        spine.set(color=PALE, linewidth=0.7)


def draw_connectors(
    axes: Axes, video: AlignedVideo, chosen: NDArray[np.int64], upright: bool
) -> None:
    """Draws a line from the time of each candidate to its row or column of the matrix."""
    step = video.duration / max(len(video.starts), 1)
    times = (video.starts[chosen] + step / 2) / video.duration
    places = (np.arange(len(chosen)) + 0.5) / len(chosen)
    lines = [
        [(0, 1 - time), (1, 1 - place)] if upright else [(time, 1), (place, 0)]
        for time, place in zip(times, places, strict=True)
    ]
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.5, alpha=0.7))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
