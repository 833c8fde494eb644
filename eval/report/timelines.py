"""Timelines of a video: score curves, instances and detections over time."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from eval.report.drawing import (
    GREY,
    INK,
    count_text,
    draw_bars,
    draw_curve,
    shade,
    shortened,
    stacked_axes,
    write_key,
    write_label,
)
from eval.report.drawn_detections import (
    HOW_TO_READ,
    LANES,
    choose_detections,
    class_colours,
    is_found,
    of_class,
)
from eval.scores import VideoScores
from eval.segments import Segments


def draw_timeline(
    video: VideoScores,
    truth: Segments,
    detections: Segments,
    *,
    snippet_seconds: float,
    heading: str | None = None,
) -> Figure:
    """Draws one video over time: instances, detections, instance attention, class activations.

    Args:
        video: Scores of the video.
        truth: Table of instances; those of other videos are not read.
        detections: Table of detections, likewise; its classes name the columns of `video.cas`. At
            most five classes are drawn, annotated ones first, then those with the highest scores;
            `HOW_TO_READ` says which of their detections.
        snippet_seconds: Seconds between the starts of neighbouring snippets of the feature file.
        heading: Heading of the figure; by default the name of the video.

    Returns:
        A figure with its own canvas, for `figure.savefig(path)` or the last line of a notebook
        cell.
    """
    instances = truth.of_video(video.name).that_can_be_found()
    detections = detections.of_video(video.name)
    colours = class_colours(instances, [detections])
    rows = max(len(colours), 1)
    duration = video.seconds(snippet_seconds)
    limits = (0.0, _end(duration, [instances, detections]))
    figure, (bars, attention, cas) = stacked_axes(
        10, [0.62 * rows, 0.7, 0.7], limits, heading or video.name, left=1.75, bottom=0.8
    )
    bars.set_ylim(rows - 0.02, -0.1)
    draw_curve(attention, video.attention, duration, GREY, filled=True)
    for number, (label, colour) in enumerate(colours.items()):
        mine = of_class(instances, label)
        drawn = choose_detections(detections, label, LANES)
        draw_bars(bars, mine, number, 0.34, colour, filled=is_found(mine, drawn.rows))
        draw_bars(bars, drawn.rows, number + 0.4 + 0.17 * drawn.lane, 0.14, colour, drawn.opacity)
        write_label(bars, number + 0.15, shortened(label, 20), colour, weight="bold")
        write_label(bars, number + 0.44, count_text(len(mine), "instance"), GREY, size=7)
        found = count_text(drawn.total, "detection", len(drawn.rows))
        write_label(bars, number + 0.68, found, GREY, size=7)
        shade(attention, mine, colour)
        shade(cas, mine, colour)
        if label in detections.classes:
            column = video.cas[:, detections.classes.index(label)]
            draw_curve(cas, column, duration, colour)
    if not colours:
        bars.text(limits[1] / 2, 0.5, "no instance, no detection", color=GREY, ha="center")
    write_label(attention, sum(attention.get_ylim()) / 2, "instance\nattention", INK)
    write_label(cas, sum(cas.get_ylim()) / 2, "class\nactivation", INK)
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
    """Draws one video wide and low, 1600 x 600 pixels: the figure for the top of a page.

    The upper half shows the scores over time: instance attention (grey) and class activation
    sequences (coloured). The lower half shows a row of instances and a row of detections per
    method; the stronger the colour, the higher the score. Of overlapping detections only the best
    one is drawn.

    Args:
        video: Scores of the video.
        truth: Table of instances; those of other videos are not read.
        detections: Table of detections, likewise, or two or three of them by the name of their
            method. The classes of the first one name the columns of `video.cas`.
        snippet_seconds: Seconds between the starts of neighbouring snippets of the feature file.
        window: Start and end of the visible time in seconds; by default the whole video.
        heading: Heading of the figure; by default the name of the video.

    Returns:
        A figure like that of `draw_timeline`.
    """
    tables = {"detections": detections} if isinstance(detections, Segments) else detections
    methods = {method: table.of_video(video.name) for method, table in tables.items()}
    instances = truth.of_video(video.name).that_can_be_found()
    colours = class_colours(instances, list(methods.values()))
    duration = video.seconds(snippet_seconds)
    limits = window or (0.0, _end(duration, [instances, *methods.values()]))
    figure, (curves, bars) = stacked_axes(
        32 / 3, [1.5, 1.38], limits, heading or video.name, left=1.3, bottom=0.5
    )
    draw_curve(curves, video.attention, duration, GREY, filled=True)
    bars.set_ylim(1 + len(methods), -0.08)
    classes = next(iter(methods.values())).classes if methods else ()
    height = 0.8 / max(len(colours), 1)
    for lane, (label, colour) in enumerate(colours.items()):
        mine = of_class(instances, label)
        draw_bars(bars, mine, 0.1 + height * lane, height * 0.92, colour)
        for number, table in enumerate(methods.values(), 1):
            rows, _, opacity, _ = choose_detections(table, label, lanes=1)
            draw_bars(bars, rows, number + 0.1 + height * lane, height * 0.92, colour, opacity)
        shade(curves, mine, colour)
        if label in classes:
            draw_curve(curves, video.cas[:, classes.index(label)], duration, colour)
    middle = sum(curves.get_ylim()) / 2
    write_label(curves, middle, "attention and\nactivation", INK, size=10)
    for number, text in enumerate(["ground truth", *methods]):
        write_label(bars, number + 0.5, shortened(text, 14), INK, size=10)
    write_key(figure, {"instance attention": GREY, **colours})
    return figure


def _end(duration: float, tables: Sequence[Segments]) -> float:
    """End of the time axis in seconds, after everything that is drawn."""
    ends = [duration, *(table.end.max(initial=0) for table in tables)]
    return 1.003 * float(max(ends)) or 1.0
