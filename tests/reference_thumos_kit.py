"""Slow, readable reference implementation of the protocol of the THUMOS14 kit, row by row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Detection(NamedTuple):
    """One detection of the class at hand."""

    start: float
    end: float
    score: float


Interval = tuple[float, float]


def overlap(one: Interval, start: float, end: float) -> float:
    """Common time over the time from the earlier start to the later end; 0 without common time."""
    common = min(one[1], end) - max(one[0], start)
    return common / (max(one[1], end) - min(one[0], start)) if common > 0 else 0.0


def judge_video(
    instances: list[Interval],
    detections: list[Detection],
    ambiguous: list[Interval],
    threshold: float,
) -> list[tuple[float, bool]]:
    """Score of each detection that counts, best first, and whether it is a true positive."""
    detections = sorted(detections, key=lambda detection: -detection.score)
    taken: set[int] = set()
    for instance in instances:
        best, most = None, threshold
        for number, detection in enumerate(detections):
            value = overlap(instance, detection.start, detection.end)
            if number not in taken and value > most:
                best, most = number, value
        if best is not None:
            taken.add(best)
    judged = []
    for number, detection in enumerate(detections):
        doubtful = any(overlap(one, detection.start, detection.end) > 0 for one in ambiguous)
        if number in taken or not doubtful:
            judged.append((detection.score, number in taken))
    return judged


def average_precision(judged: list[tuple[float, bool]], instances: int) -> float:
    """Sum of the precision at each true positive over the number of instances."""
    total, found = 0.0, 0
    for rank, (_, hit) in enumerate(sorted(judged, key=lambda one: -one[0]), 1):
        found += hit
        total += found / rank if hit else 0
    return total / instances


def thumos_kit_map(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    ambiguous: pd.DataFrame,
    classes: Sequence[str],
    tiou: Sequence[float],
) -> NDArray[np.float64]:
    """(K, C) average precision; NaN for a class without an instance."""
    result = np.full((len(tiou), len(classes)), np.nan)
    names = sorted({*truth["video"], *predictions["video"]})
    for column, label in enumerate(classes):
        instances = truth[truth["label"] == label]
        detections = predictions[predictions["label"] == label]
        if not len(instances):
            continue
        by_video = [
            (
                _intervals(instances, name),
                list(map(Detection._make, _rows(detections, name, ["start", "end", "score"]))),
                _intervals(ambiguous, name),
            )
            for name in names
        ]
        for row, threshold in enumerate(tiou):
            judged = [one for video in by_video for one in judge_video(*video, threshold)]
            result[row, column] = average_precision(judged, len(instances))
    return result


def _rows(frame: pd.DataFrame, video: str, columns: list[str]) -> list[list[float]]:
    rows: list[list[float]] = frame.loc[frame["video"] == video, columns].to_numpy().tolist()
    return rows


def _intervals(frame: pd.DataFrame, video: str) -> list[Interval]:
    return [(start, end) for start, end in _rows(frame, video, ["start", "end"])]
