"""Predicted segments as a list for programs, and the choice of the best ones."""

from typing import NamedTuple

import numpy as np

from eval.segments import Segments


class PredictedSegment(NamedTuple):
    """One detected action instance.

    Attributes:
        label: Name of the class.
        start, end: Seconds.
        score: Higher is better; comparable within a network.
    """

    label: str
    start: float
    end: float
    score: float


def segment_list(segments: Segments) -> list[PredictedSegment]:
    """The rows of a table by descending score."""
    order = np.argsort(-segments.score, kind="stable")
    rows = segments.take(order)
    columns = (rows.label, rows.start, rows.end, rows.score)
    return [
        PredictedSegment(segments.classes[label], start, end, score)
        for label, start, end, score in zip(*(c.tolist() for c in columns), strict=True)
    ]


def best_segments(segments: Segments, top: int | None, min_score: float) -> Segments:
    """The highest-scoring segments of each video, in the order of the table.

    Args:
        segments: Segments of any videos.
        top: Maximum number per video; None keeps all.
        min_score: Lowest score to keep.
    """
    kept = segments.score >= min_score
    if top is not None:
        for video in np.unique(segments.video):
            rows = np.flatnonzero(segments.video == video)
            kept[rows[np.argsort(-segments.score[rows], kind="stable")[top:]]] = False
    return segments.take(kept)
