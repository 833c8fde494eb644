"""Pictures of what was found in a video: curves, instances and detections over time."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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

from eval.detection.matching import temporal_iou
from eval.scores import VideoScores
from eval.segments import Segments

# Okabe and Ito's colours, which the colour-blind tell apart, without those too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
INK, GREY, PALE = "#1f2328", "#656d76", "#d8dce1"
DPI = 150
HEADING = 0.22  # inches from the top
SCORE_FRACTION = 0.25  # detections below this part of the video's best score are not drawn
LANES = 3  # detections that overlap better ones are drawn below these, so deep
FOUND_TIOU = 0.5  # from which a drawn detection finds an instance
HOW_TO_READ = (
    "Detections: the stronger the colour, the higher the score. Drawn are those with at least "
    f"{SCORE_FRACTION:.0%} of the video's best score, below better ones that they overlap, "
    f"{LANES} deep.",
    "Instances, the high bars, are the ground truth: hollow if no drawn detection of the class "
    f"overlaps with tIoU {FOUND_TIOU:g} or more; shaded in the curves.",
)


def draw_timeline(
    video: VideoScores,
    truth: Segments,
    detections: Segments,
    *,
    snippet_seconds: float,
    heading: str | None = None,
) -> Figure:
    """Draws one video over time: instances, detections, instance attention, class activation.

    Args:
        video: what the network says about it.
        truth: table of instances; rows of other videos are not read.
        detections: table of detections, likewise; its classes name the columns of `video.cas`.
            Drawn are at most five classes, annotated ones first, then those of the highest scores,
            and of their detections what `HOW_TO_READ` says.
        snippet_seconds: seconds between the starts of neighbouring rows of the feature file.
        heading: by default the name of the video.

    Returns:
        A figure with a canvas of its own, for `figure.savefig(path)` or the last line of a
        notebook's cell.
    """
    instances, detections = truth.of_video(video.name), detections.of_video(video.name)
    colours = _colours(instances, [detections])
    rows = max(len(colours), 1)
    limits = (0.0, _end(video, snippet_seconds, [instances, detections]))
    figure, (bars, attention, cas) = _figure(
        10, [0.62 * rows, 0.7, 0.7], limits, heading or video.name, left=1.75, bottom=0.8
    )
    bars.set_ylim(rows - 0.02, -0.1)
    _draw_curve(attention, video, video.attention, snippet_seconds, GREY, filled=True)
    for number, (label, colour) in enumerate(colours.items()):
        mine = _of_class(instances, label)
        drawn = _drawn(detections, label, LANES)
        _bars(bars, mine, number, 0.34, colour, filled=_is_found(mine, drawn.rows))
        _bars(bars, drawn.rows, number + 0.4 + 0.17 * drawn.lane, 0.14, colour, drawn.opacity)
        _label(bars, number + 0.15, _short(label, 20), colour, weight="bold")
        _label(bars, number + 0.44, _count(len(mine), "instance"), GREY, size=7)
        _label(bars, number + 0.68, _count(drawn.total, "detection", len(drawn.rows)), GREY, size=7)
        _shade(attention, mine, colour)
        _shade(cas, mine, colour)
        if label in detections.classes:
            column = video.cas[:, detections.classes.index(label)]
            _draw_curve(cas, video, column, snippet_seconds, colour)
    if not colours:
        bars.text(limits[1] / 2, 0.5, "no instance, no detection", color=GREY, ha="center")
    _label(attention, sum(attention.get_ylim()) / 2, "instance\nattention", INK)
    _label(cas, sum(cas.get_ylim()) / 2, "class\nactivation", INK)
    figure.text(0.012, 0.02, "\n".join(HOW_TO_READ), color=GREY, size=7, va="bottom")
    return figure


def draw_overview(
    video: VideoScores,
    truth: Segments,
    detections: Segments | Mapping[str, Segments],
    *,
    snippet_seconds: float,
    window: tuple[float, float] | None = None,
    heading: str | None = None,
) -> Figure:
    """Draws one video wide and low, 1600 x 600 pixels: the picture for the top of a page.

    Above, what the network says over time: instance attention (grey) and class activation
    sequences (coloured). Below, a row of instances and a row of detections for each method, the
    stronger the colour, the higher the score; of overlapping detections the best one is drawn.

    Args:
        video: what the network says about it.
        truth: table of instances; rows of other videos are not read.
        detections: table of detections, likewise, or several by the name of their method: two or
            three fit. The classes of the first name the columns of `video.cas`.
        snippet_seconds: seconds between the starts of neighbouring rows of the feature file.
        window: the seconds to be seen, from and to; by default the whole video.
        heading: by default the name of the video.

    Returns:
        A figure as from `draw_timeline`.
    """
    tables = {"detections": detections} if isinstance(detections, Segments) else detections
    methods = {method: table.of_video(video.name) for method, table in tables.items()}
    instances = truth.of_video(video.name)
    colours = _colours(instances, list(methods.values()))
    limits = window or (0.0, _end(video, snippet_seconds, [instances, *methods.values()]))
    figure, (curves, bars) = _figure(
        32 / 3, [1.5, 1.38], limits, heading or video.name, left=1.3, bottom=0.5
    )
    _draw_curve(curves, video, video.attention, snippet_seconds, GREY, filled=True)
    bars.set_ylim(1 + len(methods), -0.08)
    classes = next(iter(methods.values())).classes if methods else ()
    height = 0.8 / max(len(colours), 1)
    for lane, (label, colour) in enumerate(colours.items()):
        mine = _of_class(instances, label)
        _bars(bars, mine, 0.1 + height * lane, height * 0.92, colour)
        for number, table in enumerate(methods.values(), 1):
            rows, _, opacity, _ = _drawn(table, label, lanes=1)
            _bars(bars, rows, number + 0.1 + height * lane, height * 0.92, colour, opacity)
        _shade(curves, mine, colour)
        if label in classes:
            column = video.cas[:, classes.index(label)]
            _draw_curve(curves, video, column, snippet_seconds, colour)
    middle = sum(curves.get_ylim()) / 2
    _label(curves, middle, "attention and\nactivation", INK, size=10)
    for number, text in enumerate(["ground truth", *methods]):
        _label(bars, number + 0.5, _short(text, 14), INK, size=10)
    _key(figure, {"instance attention": GREY, **colours})
    return figure


class _Drawn(NamedTuple):
    """The detections of one video and class that are drawn, by falling score."""

    rows: Segments
    lane: NDArray[np.int64]
    opacity: NDArray[np.float64]
    total: int  # before the choice


def _drawn(detections: Segments, label: str, lanes: int) -> _Drawn:
    """Chooses which detections of a class are drawn, given all of the video, and where.

    Each is drawn in the first lane where it overlaps no better one, and left out if there is none.
    """
    best = detections.score.max(initial=-np.inf)
    mine = _of_class(detections, label)
    mine = mine.take(np.argsort(-mine.score, kind="stable"))
    good = mine.take(mine.score >= min(best, SCORE_FRACTION * best))
    lane = np.full(len(good), lanes)
    for row, (start, end) in enumerate(zip(good.start, good.end, strict=True)):
        meets = (good.start[:row] < end) & (good.end[:row] > start)
        free = np.setdiff1d(np.arange(lanes), lane[:row][meets])
        lane[row] = free.min(initial=lanes)
    rows = good.take(lane < lanes)
    opacity = np.clip(0.1 + 0.9 * rows.score / best, 0, 1) if best > 0 else np.ones(len(rows))
    return _Drawn(rows, lane[lane < lanes], opacity, len(mine))


def _is_found(instances: Segments, drawn: Segments) -> NDArray[np.bool_]:
    """Which instances of one video and class a drawn detection finds."""
    start, end = instances.start[:, None], instances.end[:, None]
    overlap = temporal_iou(start, end, drawn.start, drawn.end)
    return overlap.max(axis=1, initial=0) >= FOUND_TIOU


def _of_class(table: Segments, label: str) -> Segments:
    """The rows of one class."""
    known = label in table.classes
    return table.take(table.label == (table.classes.index(label) if known else -1))


def _colours(instances: Segments, tables: Sequence[Segments]) -> dict[str, str]:
    """The classes to draw and their colours: annotated ones first, then by highest score."""
    labels = [instances.classes[i] for i in np.unique(instances.label)]
    for table in tables:
        by_score = table.label[np.argsort(-table.score, kind="stable")]
        labels += [table.classes[i] for i in by_score]
    return dict(zip(dict.fromkeys(labels), COLOURS, strict=False))


def _end(video: VideoScores, snippet_seconds: float, tables: Sequence[Segments]) -> float:
    """Where the time axis ends, in seconds: behind all that is drawn."""
    ends = [video.snippets * snippet_seconds, *(table.end.max(initial=0) for table in tables)]
    return 1.003 * float(max(ends)) or 1.0


def _figure(
    width: float,
    heights: Sequence[float],
    limits: tuple[float, float],
    heading: str,
    *,
    left: float,
    bottom: float,
) -> tuple[Figure, list[Axes]]:
    """A figure with axes over the same time below each other; all sizes in inches."""
    top, gap, right = 0.5, 0.12, 0.35
    total = top + sum(heights) + gap * (len(heights) - 1) + bottom
    figure = Figure((width, total), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)  # without pyplot, which keeps every figure
    style: dict[str, Any] = {"color": INK, "weight": "bold", "size": 11, "parse_math": False}
    figure.text(0.012, 1 - HEADING / total, _short(heading, 80), va="center", **style)
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


def _bars(
    axes: Axes,
    rows: Segments,
    top: NDArray[np.floating] | float,
    height: float,
    colour: str,
    opacity: NDArray[np.float64] | None = None,
    filled: NDArray[np.bool_] | None = None,
) -> None:
    """Draws segments as bars, `height` downwards; in long videos the outline keeps them visible."""
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


def _shade(axes: Axes, rows: Segments, colour: str) -> None:
    spans = list(zip(rows.start, rows.end - rows.start, strict=True))
    place = axes.get_xaxis_transform()  # over the whole height
    axes.broken_barh(spans, (0, 1), color=to_rgba(colour, 0.13), lw=0, zorder=0, transform=place)


def _draw_curve(
    axes: Axes,
    video: VideoScores,
    values: NDArray[np.floating],
    snippet_seconds: float,
    colour: str,
    *,
    filled: bool = False,
) -> None:
    """Draws (T,) values from 0 on; that of a snippet stands where the snippet starts."""
    if not len(values):
        return
    step_seconds = snippet_seconds * video.snippets / len(values)
    seconds = np.arange(len(values) + 1) * step_seconds
    values = np.append(values, values[-1])
    axes.plot(seconds, values, color=colour, linewidth=1, solid_joinstyle="round")
    if filled:
        axes.fill_between(seconds, values, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(0, max(1.1 * values.max(), axes.get_ylim()[1]))
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter("{x:g}")


def _label(axes: Axes, y: float, text: str, colour: str, size: int = 9, **style: Any) -> None:
    """Writes to the left of the axes; names are text, never formulas."""
    style |= {"ha": "right", "va": "center", "color": colour, "size": size, "parse_math": False}
    axes.text(-0.012, y, text, transform=axes.get_yaxis_transform(), **style)


def _key(figure: Figure, colours: Mapping[str, str]) -> None:
    """Writes names in their colours on the right of the line of the heading."""
    style = {"size": 10, "parse_math": False}
    names: list[Artist] = [
        TextArea(f"\N{BLACK SQUARE} {_short(name, 24)}", textprops={"color": colour, **style})
        for name, colour in colours.items()
    ]
    line = HPacker(children=names, pad=0, sep=12)
    place: dict[str, Any] = {
        "bbox_to_anchor": (0.97, 1 - HEADING / figure.get_figheight()),
        "bbox_transform": figure.transFigure,
    }
    figure.add_artist(
        AnchoredOffsetbox("center right", child=line, frameon=False, pad=0, borderpad=0, **place)
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _count(number: int, what: str, shown: int | None = None) -> str:
    """Such as "no instance", "1 instance", "7 of 12 detections"."""
    if number == 0:
        return f"no {what}"
    part = "" if shown is None else f"{shown} of "
    return f"{part}{number} {what}" + "s" * (number > 1)
