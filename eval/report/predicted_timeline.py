"""The timeline of a video without annotations: score curves and detections over time."""

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
    write_label,
)
from eval.report.drawn_detections import HOW_TO_READ, LANES, choose_detections, class_colours
from eval.scores import VideoScores
from eval.segments import Segments


def draw_predicted_timeline(
    video: VideoScores,
    detections: Segments,
    *,
    snippet_seconds: float,
    heading: str | None = None,
) -> Figure:
    """Draws one video over time: detections, instance attention, class activations.

    Args:
        video: Scores of the video.
        detections: Table of detections; those of other videos are not read. Its classes name the
            columns of `video.cas`. At most five classes are drawn, those with the highest scores;
            the text below the figure says which of their detections.
        snippet_seconds: Seconds between the starts of neighbouring snippets of the feature file.
        heading: Heading of the figure; by default the name of the video.

    Returns:
        A figure with its own canvas, for `figure.savefig(path)` or the last line of a notebook
        cell.
    """
    detections = detections.of_video(video.name)
    no_instances = detections.take(detections.video < 0)
    colours = class_colours(no_instances, [detections])
    rows = max(len(colours), 1)
    duration = video.seconds(snippet_seconds)
    end = 1.003 * max(duration, float(detections.end.max(initial=0))) or 1.0
    figure, (bars, attention, cas) = stacked_axes(
        10, [0.45 * rows, 0.7, 0.7], (0.0, end), heading or video.name, left=1.75, bottom=0.65
    )
    bars.set_ylim(rows - 0.02, -0.1)
    draw_curve(attention, video.attention, duration, GREY, filled=True)
    for number, (label, colour) in enumerate(colours.items()):
        drawn = choose_detections(detections, label, LANES)
        draw_bars(bars, drawn.rows, number + 0.02 + 0.29 * drawn.lane, 0.25, colour, drawn.opacity)
        write_label(bars, number + 0.25, shortened(label, 20), colour, weight="bold")
        found = count_text(drawn.total, "detection", len(drawn.rows))
        write_label(bars, number + 0.68, found, GREY, size=7)
        shade(attention, drawn.rows.take(drawn.lane == 0), colour)
        shade(cas, drawn.rows.take(drawn.lane == 0), colour)
        draw_curve(cas, video.cas[:, detections.classes.index(label)], duration, colour)
    if not colours:
        bars.text(end / 2, 0.5, "no detection", color=GREY, ha="center")
    write_label(attention, sum(attention.get_ylim()) / 2, "instance\nattention", INK)
    write_label(cas, sum(cas.get_ylim()) / 2, "class\nactivation", INK)
    text = f"{HOW_TO_READ[0]}\nBehind the curves, the detections of the top lane are shaded."
    figure.text(0.012, 0.02, text, color=GREY, size=7, va="bottom")
    return figure
