"""The figure that explains FTCL-Net: FSD and LCS align candidate snippets of pairs of videos."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from matplotlib.patches import Patch

from eval.report.alignments import MATCH, AlignedPair, Alignment
from eval.report.drawing import GREY, INK, name_style, shortened
from eval.report.drawn_alignment import (
    ATTENTION,
    BLUE,
    INSTANCES,
    MEDIUM,
    MOVE_NAMES,
    MOVES,
    SMALL,
    VERMILION,
    draw_candidate_ticks,
    draw_connectors,
    draw_matrix,
    draw_strip,
    scales,
)
from eval.report.figure_files import PAPER_DPI, data_url, save_figure
from eval.report.fonts import QuietFigure

# Inches.
MATRIX, STRIP, CONNECTOR = 2.15, 0.42, 0.3
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.44, 0.7, 0.46  # around the panel of one alignment
HEADER, LEGEND, BAR = 0.4, 0.5, 0.72  # above, below and to the right of all panels
EXPLANATIONS = {
    "FSD": "fine-grained sequence distance",
    "LCS": "longest common subsequence",
}


def draw_alignments(pairs: Sequence[AlignedPair]) -> Figure:
    """Draws pairs of videos beside each other, their alignments below each other.

    Each panel shows the cosine similarities of the candidate snippets of two videos, the path of
    the alignment over them, and where the candidates lie in the videos.

    Args:
        pairs: One or two pairs with alignments of the same names.

    Returns:
        A figure with its own canvas, for `write_figure` or the last line of a notebook cell.
    """
    count = len(pairs[0].alignments)
    panel = LEFT + STRIP + CONNECTOR + MATRIX + RIGHT
    row = TOP + STRIP + CONNECTOR + MATRIX + BOTTOM
    size = (panel * len(pairs) + BAR, HEADER + row * count + LEGEND)
    figure = QuietFigure(size, dpi=PAPER_DPI, facecolor="white")
    FigureCanvasAgg(figure)  # not pyplot, which keeps every figure in memory
    for column, pair in enumerate(pairs):
        kind = "Positive pair" if pair.positive else "Negative pair"
        place = (column * panel + 0.1, size[1] - 0.25)
        _write_line(figure, place, kind, shortened(_classes(pair), 34), 11)
    for number in range(count):
        drawn = [pair.alignments[number] for pair in pairs]
        limits = _limits(drawn)
        top = size[1] - HEADER - number * row
        for column, (pair, alignment) in enumerate(zip(pairs, drawn, strict=True)):
            _draw_panel(figure, pair, alignment, (column * panel, top), limits)
        _draw_bar(figure, drawn[0], (panel * len(pairs), top), limits)
    _write_legend(figure, [alignment for pair in pairs for alignment in pair.alignments])
    return figure


def svg_image(figure: Figure) -> str:
    """The figure as the address of an SVG image for `<img src>`, which needs no other file.

    An image, not an element of the page: the style of matplotlib's SVG would apply to the page.
    """
    file = io.BytesIO()
    save_figure(file, figure, "svg")
    return data_url(file.getvalue(), "image/svg+xml")


def describe(pairs: Sequence[AlignedPair]) -> list[str]:
    """A line about each pair and its scores, for readers who do not see the figure."""
    lines = []
    for pair in pairs:
        scores = ", ".join(f"{each.name} {each.score:.2f}" for each in pair.alignments)
        kind = "positive" if pair.positive else "negative"
        names = f"{pair.first.name} and {pair.second.name}"
        lines.append(f"{kind} pair ({_classes(pair)}), {names}: {scores}")
    return lines


def _draw_panel(
    figure: Figure,
    pair: AlignedPair,
    alignment: Alignment,
    corner: tuple[float, float],
    limits: tuple[float, float],
) -> None:
    """Draws one alignment; `corner` is the upper left one in inches."""
    left, top = corner
    x, y = left + LEFT + STRIP + CONNECTOR, top - TOP - STRIP - CONNECTOR - MATRIX
    matrix = _axes(figure, x, y, MATRIX, MATRIX)
    draw_matrix(matrix, alignment, limits)
    draw_candidate_ticks(matrix, alignment, (pair.first, pair.second))
    what = "background candidate" if alignment.background else "candidate"
    matrix.set_xlabel(f"start of each {what} (s)", size=SMALL, color=GREY, labelpad=2)
    videos = ((pair.first, alignment.first, True), (pair.second, alignment.second, False))
    for video, chosen, upright in videos:
        if upright:
            strip = _axes(figure, left + LEFT, y, STRIP, MATRIX)
            connectors = _axes(figure, left + LEFT + STRIP, y, CONNECTOR, MATRIX)
        else:
            strip = _axes(figure, x, y + MATRIX + CONNECTOR, MATRIX, STRIP)
            connectors = _axes(figure, x, y + MATRIX, MATRIX, CONNECTOR)
        draw_strip(strip, video, chosen, upright)
        draw_connectors(connectors, video, chosen, upright)
    score, detail = f"{alignment.name} = {alignment.score:.2f}", EXPLANATIONS[alignment.name]
    if alignment.threshold is not None:
        matches = int(np.count_nonzero(alignment.path == MATCH))
        detail += f", {matches} match" + "es" * (matches != 1)
    _write_line(figure, (left + 0.1, top - 0.2), score, detail, 10)


def _classes(pair: AlignedPair) -> str:
    """The classes of both videos."""
    texts = [", ".join(video.classes) or "no class" for video in (pair.first, pair.second)]
    return " / ".join(dict.fromkeys(texts))


def _write_line(
    figure: Figure, place: tuple[float, float], bold: str, plain: str, size: float
) -> None:
    """Writes a heading, and plain text after it; the place is in inches."""
    parts: list[Artist] = [
        TextArea(bold, textprops={**name_style(bold, "bold"), "size": size, "color": INK}),
        TextArea(plain, textprops={**name_style(plain), "size": size - 1.5, "color": GREY}),
    ]
    anchor = figure.dpi_scale_trans.transform(place) / figure.bbox.size
    figure.add_artist(
        AnchoredOffsetbox(
            "center left",
            child=HPacker(children=parts, pad=0, sep=6, align="baseline"),
            frameon=False,
            pad=0,
            borderpad=0,
            bbox_to_anchor=tuple(anchor),
            bbox_transform=figure.transFigure,
        )
    )


def _draw_bar(
    figure: Figure,
    alignment: Alignment,
    corner: tuple[float, float],
    limits: tuple[float, float],
) -> None:
    """Draws the scale of the similarities to the right of a row of panels."""
    left, top = corner
    axes = _axes(figure, left + 0.04, top - TOP - STRIP - CONNECTOR - MATRIX, 0.12, MATRIX)
    for colours, low, high, _ in scales(alignment, limits):
        if low == high:  # the threshold is at a limit
            continue
        shades = np.linspace(0, 1, 256)[:, None]
        place = (0, 1, low, high)
        axes.imshow(shades, aspect="auto", origin="lower", extent=place, cmap=colours)
    axes.set(xlim=(0, 1), ylim=limits, xticks=[])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("cosine similarity", size=MEDIUM, color=INK, labelpad=3)
    axes.tick_params(length=2, width=0.6, color=GREY, labelsize=SMALL, labelcolor=GREY, pad=2)
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.7)


def _limits(alignments: Sequence[Alignment]) -> tuple[float, float]:
    """Round limits of the similarities, the same for all pairs."""
    values = np.concatenate([alignment.similarity.ravel() for alignment in alignments])
    low, high = np.floor(10 * values.min()) / 10, np.ceil(10 * values.max()) / 10
    return (float(low), float(high)) if low < high else (float(low) - 0.1, float(high) + 0.1)


def _write_legend(figure: Figure, alignments: Sequence[Alignment]) -> None:
    handles: list[Line2D | Patch] = [
        Patch(facecolor=ATTENTION, edgecolor=GREY, linewidth=0.7, label="instance attention"),
        Patch(color=INSTANCES, linewidth=0, label="ground truth"),
        _mark("o", BLUE, "candidate", markersize=4),
    ]
    kinds = {alignment.name: alignment for alignment in alignments}
    if "FSD" in kinds:
        handles += [
            _mark(marker, colour, f"FSD {MOVE_NAMES[move]}")
            for move, (marker, colour) in MOVES.items()
        ]
    if "LCS" in kinds:
        above = f"above the LCS threshold {kinds['LCS'].threshold:g}"
        handles.append(_mark("s", VERMILION, "LCS match", markersize=4.5))
        handles.append(Patch(facecolor=BLUE, linewidth=0, label=above))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=4,
        fontsize=MEDIUM,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.5,
        columnspacing=1.6,
        borderpad=0.3,
    )


def _mark(marker: str, colour: str, label: str, markersize: float = 6) -> Line2D:
    edge = INK if colour == "white" else colour
    return Line2D(
        [], [], linestyle="none", marker=marker, color=colour, markeredgecolor=edge,
        markeredgewidth=0.8, markersize=markersize, label=label,
    )  # fmt: skip


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))
