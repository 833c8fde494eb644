"""The timeline of a video for a paper: instances and the detections of one or several methods."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.drawing import (
    GREY,
    INK,
    draw_bars,
    draw_curve,
    shade,
    shortened,
    stacked_axes,
    write_label,
)
from eval.report.drawn_detections import (
    LANES,
    DrawnDetections,
    choose_detections,
    class_colours,
    of_class,
)
from eval.scores import VideoScores
from eval.segments import Segments

WIDTH = 7.2  # inches, both columns of a page
TRUTH, LANE, SPACE = 0.2, 0.11, 0.1  # inches: row of instances, lane of detections, between rows
CURVES = 0.55  # inches


def draw_paper_timeline(
    video: str,
    seconds: float,
    truth: Segments,
    methods: Mapping[str, Segments],
    scores: VideoScores | None = None,
    score_classes: Sequence[str] = (),
) -> Figure:
    """Draws one video over time: for each class its instances, then the detections of each method.

    The stronger the colour of a detection, the higher its score. At most five classes are drawn,
    annotated ones first, then those with the highest scores.

    Args:
        video: Name of the video.
        seconds: Its length; 0 if it is not known.
        truth: Table of instances; those of other videos are not read.
        methods: Table of detections, likewise, of each method by its name.
        scores: Scores of the video, whose attention and class activations are drawn below.
        score_classes: Names of the columns of their `cas`.

    Returns:
        A figure with its own canvas, for `write_figure`.
    """
    tables = {name: table.of_video(video) for name, table in methods.items()}
    instances = truth.of_video(video).that_can_be_found()
    colours = class_colours(instances, list(tables.values()))
    drawn = {
        (label, name): choose_detections(table, label, LANES)
        for label in colours
        for name, table in tables.items()
    }
    lanes = {key: max(int(each.lane.max(initial=0)) + 1, 1) for key, each in drawn.items()}
    height = sum(TRUTH + SPACE for _ in colours)
    height += sum(LANE * count + SPACE for count in lanes.values())
    curves = 2 if scores is not None and len(scores.attention) else 0
    end = float(max([seconds, *(t.end.max(initial=0) for t in [instances, *tables.values()])]))
    figure, stack = stacked_axes(
        WIDTH,
        [max(height, 0.3), *[CURVES] * curves],
        (0.0, 1.003 * end or 1.0),
        video,
        left=1.45,
        bottom=0.42,
    )
    stack[0].set_ylim(max(height, 0.3), -0.03)  # the y axis is in inches
    _draw_rows(stack[0], instances, drawn, lanes, colours)
    if not colours:
        text = "no instance, no detection"
        stack[0].text(end / 2, 0.15, text, color=GREY, ha="center", va="center")
    if scores is not None and curves:
        _draw_curves(stack[1], stack[2], scores, score_classes, seconds, colours, instances)
    return figure


def _draw_rows(
    bars: Axes,
    instances: Segments,
    drawn: Mapping[tuple[str, str], DrawnDetections],
    lanes: Mapping[tuple[str, str], int],
    colours: Mapping[str, str],
) -> None:
    """Draws, for each class, its instances and below them the detections of each method.

    Args:
        bars: Axes whose y axis is in inches from the top.
        instances: Instances of the video.
        drawn: Detections by class and method, in the order of the rows.
        lanes: Number of their lanes.
        colours: Colour of each class.
    """
    top = 0.0
    for label, colour in colours.items():
        write_label(bars, top + TRUTH / 2, shortened(label, 20), colour, 8, weight="bold")
        draw_bars(bars, of_class(instances, label), top, TRUTH, colour)
        top += TRUTH + SPACE / 2
        for key, each in drawn.items():
            if key[0] != label:
                continue
            draw_bars(bars, each.rows, top + LANE * each.lane, LANE * 0.85, colour, each.opacity)
            middle = top + LANE * lanes[key] / 2
            write_label(bars, middle, shortened(key[1], 22), GREY, 7)
            top += LANE * lanes[key] + SPACE
        top += SPACE / 2


def _draw_curves(
    attention: Axes,
    activation: Axes,
    scores: VideoScores,
    classes: Sequence[str],
    seconds: float,
    colours: Mapping[str, str],
    instances: Segments,
) -> None:
    """Draws instance attention and class activations, the times of the instances shaded."""
    draw_curve(attention, scores.attention, seconds, GREY, filled=True)
    for label, colour in colours.items():
        for axes in (attention, activation):
            shade(axes, of_class(instances, label), colour)
        if label in classes:
            draw_curve(activation, scores.cas[:, classes.index(label)], seconds, colour)
    texts = {"instance\nattention": attention, "class\nactivation": activation}
    for text, axes in texts.items():
        write_label(axes, sum(axes.get_ylim()) / 2, text, INK, 8)
