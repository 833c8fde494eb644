"""Draws docs/method.png, the figure of the method in the README.

python tools/method_figure.py [--output docs/method.png]
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from tools.method_example import (
    ACTION_CLASS,
    CLASSES,
    FSD_LENGTH,
    LCS_LENGTH,
    LCS_THRESHOLD,
    LEVELS,
    SNIPPET_SECONDS,
    SNIPPETS,
    Floats,
    Pair,
    Video,
    common_subsequence,
    make_pair,
    proposals,
    soft_alignment,
    suppressed,
)
from utils.errors import command
from utils.files import write_atomically

Box = tuple[float, float, float, float]  # left, bottom, width and height in inches
Point = tuple[float, float]  # inches

WIDTH, HEIGHT, DPI = 10.0, 6.6, 200
INK, GREY, PALE, PANEL = "#1f2328", "#59636e", "#d1d9e0", "#f6f8fa"
BLUE, ORANGE, RED, GREEN = "#0072B2", "#c87f00", "#cf222e", "#1a7f37"
BRANCHES = {"instance": BLUE, "context": ORANGE, "background": "#6e7781"}
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#8fc1e3", BLUE, "#003a63"])
SCENE = "#d4d9df"  # snippets without action; the other colours are the sub-actions in order
SNIPPET_COLOURS = ListedColormap([SCENE, "#6a3d9a", "#b5429a", "#e5616b", "#f29e4c", "#f4d35e"])


class Canvas:
    """A page measured in inches, with the few shapes that the figure consists of."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
        self.page = self.axes((0, 0, WIDTH, HEIGHT))
        self.page.axis("off")
        self.page.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))

    def axes(self, box: Box) -> Axes:
        """Axes without ticks."""
        left, bottom, width, height = box
        axes = self.figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=GREY, linewidth=0.7)
        return axes

    def text(self, x: float, y: float, text: str, size: float = 9.5, **style: Any) -> None:
        given = {"color": INK, "ha": "center", "va": "center", "linespacing": 1.3, **style}
        self.page.text(x, y, text, size=size, zorder=5, **given)

    def note(self, x: float, y: float, text: str, **style: Any) -> None:
        """Secondary text."""
        self.text(x, y, text, 9, **{"color": GREY, **style})

    def band(self, box: Box, name: str, claim: str) -> None:
        """A rounded background with a heading."""
        left, bottom, width, height = box
        rounded = "round,pad=0,rounding_size=0.09"
        self.page.add_patch(
            FancyBboxPatch((left, bottom), width, height, rounded, facecolor=PANEL, edgecolor=PALE)
        )
        heading = self.page.text(
            left + 0.15, bottom + height - 0.28, name, size=11.5, weight="bold", color=INK
        )
        self.page.annotate(
            claim, (1, 0), (8, 0.8), heading, "offset points", size=9.5, color=GREY, va="bottom"
        )

    def arrow(self, *points: Point, head: str = "-|>") -> None:
        """A line through the points with a head at the last one."""
        for start, end in pairwise(points[:-1]):
            self.page.plot(*zip(start, end, strict=True), color=GREY, linewidth=1.2, zorder=3)
        style: Any = {"color": GREY, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0, "zorder": 3}
        last = FancyArrowPatch(*points[-2:], arrowstyle=head, mutation_scale=9, **style)
        self.page.add_patch(last)

    def heat(self, box: Box, values: Floats, colours: Any = BLUES, **style: Any) -> Axes:
        """A matrix as colours."""
        axes = self.axes(box)
        axes.imshow(values, cmap=colours, aspect="auto", interpolation="nearest", **style)
        return axes

    def bars(self, box: Box, values: Floats, colour: str) -> None:
        """A value for each class."""
        axes = self.axes(box)
        axes.bar(np.arange(len(values)), values, color=colour, width=0.72)
        axes.set(ylim=(0, 1.15), xlim=(-0.7, len(values) - 0.3))

    def attention(self, box: Box, video: Video) -> Axes:
        """Instance attention over time."""
        axes = self.axes(box)
        curve = video.attention[:, 0]
        axes.fill_between(np.arange(SNIPPETS), curve, color=BLUE, alpha=0.13, linewidth=0)
        axes.plot(curve, color=BLUE, linewidth=1.4)
        axes.set(xlim=(-0.5, SNIPPETS - 0.5), ylim=(0, 1.08))
        return axes

    def snippets(self, box: Box, stages: Any) -> None:
        """Snippets in the colours of what they show."""
        self.heat(box, stages, SNIPPET_COLOURS, vmin=-1.5, vmax=4.5)


def draw_network(canvas: Canvas, pair: Pair) -> None:
    """Features, embedding, attention, class activation sequence and video scores."""
    canvas.band((0.1, 3.5, 9.8, 3.0), "ACM-Net", "trained with video-level labels only")
    first, second = pair
    for offset, video in ((0.13, second), (0.0, first)):
        canvas.heat((0.3 + offset, 4.32 + offset, 1.05, 0.9), video.features.T)
        canvas.heat((2.2 + offset, 4.32 + offset, 1.05, 0.9), video.embedding.T)
    for x, name in ((0.89, "snippet features"), (2.79, "embedding")):
        canvas.text(x, 5.58, name)
        canvas.note(x - 0.06, 4.15, r"T $\times$ D")
    canvas.note(1.84, 5.12, "temporal\nconv.")
    canvas.arrow((1.54, 4.83), (2.14, 4.83))
    canvas.arrow((3.44, 4.83), (3.68, 4.83), (3.68, 5.26), (3.94, 5.26))
    canvas.arrow((3.68, 4.83), (3.68, 4.15), (3.94, 4.15))

    attention = canvas.axes((4.0, 4.95, 1.5, 0.62))
    for number, colour in enumerate(BRANCHES.values()):
        attention.plot(first.attention[:, number], color=colour, linewidth=1.4)
    attention.set(xlim=(0, SNIPPETS - 1), ylim=(0, 1))
    canvas.text(4.75, 5.75, "attention")
    canvas.heat((4.0, 3.86, 1.5, 0.58), first.cas.T)
    canvas.text(4.75, 4.6, "class activation\nsequence (CAS)")
    canvas.note(4.75, 3.69, r"T $\times$ (C + 1)")

    canvas.arrow((5.56, 5.26), (5.84, 5.26), (5.84, 4.87))
    canvas.arrow((5.56, 4.15), (5.84, 4.15), (5.84, 4.59))
    canvas.text(5.84, 4.705, "⊗", 17)
    canvas.arrow((5.97, 4.73), (6.26, 4.73))
    canvas.arrow((6.1, 4.73), (6.1, 5.42), (6.26, 5.42))
    canvas.arrow((6.1, 4.73), (6.1, 4.04), (6.26, 4.04))
    for x, heading in ((6.98, "CAS of each branch"), (8.4, "video scores"), (9.4, "labels")):
        canvas.text(x, 6.02, heading)
    for number in range(len(BRANCHES)):
        draw_branch(canvas, first, number)
    canvas.note(7.86, 3.66, "top-k mean")
    canvas.note(8.9, 3.66, "cross-entropy")


def draw_branch(canvas: Canvas, video: Video, number: int) -> None:
    """The class activation sequence of one branch, its video scores and their target."""
    branch, colour = list(BRANCHES.items())[number]
    bottom = 5.2 - 0.69 * number
    middle = bottom + 0.22
    shades = LinearSegmentedColormap.from_list(branch, ["#ffffff", colour])
    weighted = video.cas * video.attention[:, number : number + 1]
    canvas.heat((6.3, bottom, 1.36, 0.44), weighted.T, shades, vmax=0.75 * weighted.max())
    canvas.text(6.98, bottom + 0.54, branch, 9, color=colour, weight="bold")
    canvas.arrow((7.7, middle), (8.02, middle))
    scores = np.sort(weighted, axis=0)[-SNIPPETS // 4 :].mean(axis=0)
    canvas.bars((8.06, bottom, 0.68, 0.44), scores / scores.sum(), colour)
    canvas.arrow((8.78, middle), (9.02, middle), head="<|-|>")
    target = np.zeros(CLASSES + 1)
    target[ACTION_CLASS] = branch != "background"
    target[-1] = branch != "instance"
    canvas.bars((9.06, bottom, 0.68, 0.44), target / target.sum(), INK)


def draw_contrast(canvas: Canvas, pair: Pair) -> None:
    """Candidate snippets of both videos, and their two alignments."""
    canvas.band((0.1, 0.1, 6.1, 3.3), "FTCL-Net", "adds contrastive losses over pairs of videos")
    for number, video in enumerate(pair):
        bottom = 2.03 - 0.98 * number
        canvas.text(1.1, bottom + 0.74, f"video {number + 1}")
        curve = canvas.attention((0.3, bottom, 1.6, 0.62), video)
        chosen = video.candidates(FSD_LENGTH)
        curve.plot(chosen, video.attention[chosen, 0], "o", color=RED, markersize=3.4)
        canvas.snippets((0.3, bottom - 0.13, 1.6, 0.13), video.stage[None])
        canvas.arrow((1.98, bottom + 0.25), (2.3, bottom + 0.25))
    canvas.note(1.1, 0.5, "candidates: snippets of\nhighest instance attention")

    similarity, weights = soft_alignment(pair)
    panel = draw_table(canvas, (2.62, 1.2, 1.4, 1.4), pair, similarity)
    for (row, column), weight in np.ndenumerate(weights):
        if weight > 0.02:
            panel.plot(column, row, "o", color=RED, markersize=12 * weight**0.5)
    canvas.text(3.32, 2.93, "FSD", weight="bold")
    canvas.note(3.32, 1.06, f"soft alignment, L = {FSD_LENGTH}")

    similarity, matches = common_subsequence(pair)
    panel = draw_table(canvas, (4.52, 1.2, 1.4, 1.4), pair, similarity)
    panel.contour(similarity, [LCS_THRESHOLD], colors=GREY, linewidths=0.6)
    rows, columns = np.nonzero(matches)
    panel.plot(columns, rows, "s", color=RED, markersize=2.3)
    canvas.text(5.22, 2.93, "LCS", weight="bold")
    canvas.note(5.22, 1.06, f"matches in order, L = {LCS_LENGTH}")

    canvas.text(2.46, 0.66, "▲  same classes: maximize both scores", color=GREEN, ha="left")
    canvas.text(2.46, 0.37, "▼  no class in common: minimize both scores", color=RED, ha="left")


def draw_table(canvas: Canvas, box: Box, pair: Pair, similarity: Floats) -> Axes:
    """Similarity of every candidate of one video to every candidate of the other."""
    left, bottom, width, height = box
    rows, columns = (video.stage[video.candidates(len(similarity))] for video in pair)
    canvas.snippets((left - 0.16, bottom, 0.13, height), rows[:, None])
    canvas.snippets((left, bottom + height + 0.03, width, 0.13), columns[None])
    return canvas.heat(box, similarity, vmin=0.1, vmax=1.35)


def draw_localization(canvas: Canvas, video: Video) -> None:
    """Thresholds on the sequences of a test video, proposals and segments."""
    canvas.band((6.3, 0.1, 3.6, 3.3), "Test", "from scores to segments")
    left, width = 6.5, 3.2
    canvas.text(left, 2.8, "attention", 9, color=BLUE, ha="left", va="baseline")
    canvas.text(left + width, 2.8, "class activation", 9, ha="right", va="baseline")
    curve = canvas.attention((left, 1.92, width, 0.8), video)
    curve.plot(video.cas[:, ACTION_CLASS], color=INK, linewidth=1.4)
    for level in LEVELS:
        curve.axhline(level, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    canvas.note(left, 1.74, "proposals: runs above each threshold", ha="left")
    canvas.note(left, 0.98, "segments: outer-inner score, then NMS", ha="left")
    rows = [canvas.axes((left, bottom, width, 0.15)) for bottom in (1.45, 1.28, 1.11)]
    best = canvas.axes((left, 0.56, width, 0.28))
    for axes in (*rows, best):
        axes.set(xlim=curve.get_xlim(), ylim=(0, 1))
        axes.patch.set_visible(False)
        axes.spines[:].set_visible(False)
    ranked = proposals(video)
    for one in ranked:
        place = (one.start - 0.5, 0.1), one.end - one.start, 0.8
        rows[2 - one.level].add_patch(Rectangle(*place, color="#8fc1e3", linewidth=0))
    for one in suppressed(ranked):
        place = (one.start - 0.5, 0), one.end - one.start, 1
        best.add_patch(Rectangle(*place, color=BLUE, linewidth=0))
        middle = (one.start + one.end - 1) / 2
        best.text(middle, 0.28, f"{one.score:.2f}", size=9, color="white", ha="center")
    best.spines["bottom"].set_visible(True)
    seconds = np.arange(0, SNIPPETS * SNIPPET_SECONDS, 10)
    best.set_xticks(seconds / SNIPPET_SECONDS - 0.5, [f"{second:.0f}" for second in seconds])
    best.tick_params(length=2.5, labelsize=8.5, labelcolor=GREY, color=GREY, pad=2)
    canvas.note(left + width, 0.27, "seconds", ha="right")


@command("tools/method_figure.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--output", type=Path, default=Path("docs/method.png"))
    given = parser.parse_args()
    pair = make_pair()
    canvas = Canvas()
    draw_network(canvas, pair)
    draw_contrast(canvas, pair)
    draw_localization(canvas, pair[0])
    write_atomically(given.output, lambda file: canvas.figure.savefig(file, format="png", dpi=DPI))


if __name__ == "__main__":
    main()
