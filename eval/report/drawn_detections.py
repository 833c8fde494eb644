"""Which classes and detections of a video a timeline draws, and where."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.detection.matching import temporal_iou
from eval.segments import Segments

# Colours of Okabe and Ito, distinguishable for the colour-blind, without those too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
SCORE_FRACTION = 0.25  # detections below this fraction of the video's best score are not drawn
LANES = 3  # number of lanes in which overlapping detections are stacked
FOUND_TIOU = 0.5  # tIoU from which a drawn detection finds an instance
HOW_TO_READ = (
    "Detections: the stronger the colour, the higher the score. Those below "
    f"{SCORE_FRACTION:.0%} of the video's best score are not drawn; overlapping ones are stacked "
    f"in up to {LANES} lanes, best on top.",
    "Instances: the tall bars are the ground truth, also shaded behind the curves. A bar is hollow "
    f"if no drawn detection of its class overlaps it with a tIoU of {FOUND_TIOU:g} or more.",
)


class DrawnDetections(NamedTuple):
    """The detections of one video and class that are drawn, in descending order of score.

    Attributes:
        rows: The N detections.
        lane: (N,) lane of each, 0 on top.
        opacity: (N,) from 0 to 1, rising with the score.
        total: Number of detections before the choice.
    """

    rows: Segments
    lane: NDArray[np.int64]
    opacity: NDArray[np.float64]
    total: int


def choose_detections(detections: Segments, label: str, lanes: int) -> DrawnDetections:
    """Chooses the detections of a class to draw and the lane of each.

    A detection is drawn in the first lane where it overlaps no better one, and left out if there is
    none.

    Args:
        detections: All detections of the video, whose best score sets the opacities.
        label: Name of the class.
        lanes: Number of lanes.
    """
    best = detections.score.max(initial=-np.inf)
    mine = of_class(detections, label)
    mine = mine.take(np.argsort(-mine.score, kind="stable"))
    good = mine.take(mine.score >= min(best, SCORE_FRACTION * best))
    lane = np.full(len(good), lanes)
    for row, (start, end) in enumerate(zip(good.start, good.end, strict=True)):
        meets = (good.start[:row] < end) & (good.end[:row] > start)
        free = np.setdiff1d(np.arange(lanes), lane[:row][meets])
        lane[row] = free.min(initial=lanes)
    rows = good.take(lane < lanes)
    opacity = np.clip(0.1 + 0.9 * rows.score / best, 0, 1) if best > 0 else np.ones(len(rows))
    return DrawnDetections(rows, lane[lane < lanes], opacity, len(mine))


def is_found(instances: Segments, drawn: Segments) -> NDArray[np.bool_]:
    """(G,) whether a drawn detection finds each instance, all of one video and class."""
    start, end = instances.start[:, None], instances.end[:, None]
    overlap = temporal_iou(start, end, drawn.start, drawn.end)
    return overlap.max(axis=1, initial=0) >= FOUND_TIOU


def of_class(table: Segments, label: str) -> Segments:
    """The segments of one class."""
    known = label in table.classes
    return table.take(table.label == (table.classes.index(label) if known else -1))


def class_colours(instances: Segments, tables: Sequence[Segments]) -> dict[str, str]:
    """The classes to draw and their colours: annotated ones first, then by highest score."""
    labels = [instances.classes[i] for i in np.unique(instances.label)]
    for table in tables:
        by_score = table.label[np.argsort(-table.score, kind="stable")]
        labels += [table.classes[i] for i in by_score]
    return dict(zip(dict.fromkeys(labels), COLOURS, strict=False))
