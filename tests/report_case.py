"""A small evaluation for the tests of reports."""

import math
from collections.abc import Sequence

import numpy as np

from config.datasets import THUMOS14
from eval.detection.average_precision import detection_map
from eval.evaluator import Evaluation
from eval.scores import VideoScores
from eval.segments import Segments, segments_from_rows

CLASSES = ("Diving", "CliffDiving", "Shotput", "High $x_1$ Jump", "Billiards", "TennisSwing")
SECONDS = 0.64
Rows = Sequence[tuple[int, int, float, float, float]]
Case = tuple[Evaluation, list[VideoScores], Segments]


def make_scores(name: str, snippets: int, sampled: int, classes: int = len(CLASSES)) -> VideoScores:
    """Random scores of a video."""
    rng = np.random.default_rng(snippets)
    branches = rng.dirichlet(np.ones(3), sampled).astype(np.float32)
    return VideoScores(
        name,
        snippets,
        rng.dirichlet(np.ones(classes + 1), sampled).astype(np.float32),
        branches[:, 0],
        np.full(classes + 1, 1 / (classes + 1), np.float32),
        None,
        branches,
    )


def make_case(
    names: Sequence[str] = ("video_a", "video_b", "video_c", "video_d"),
    classes: Sequence[str] = CLASSES[:3],
    truth_rows: Rows = ((0, 0, 2, 8, 1), (0, 1, 9, 12, 1), (1, 0, 3, 9, 1), (2, 1, 4, 8, 1)),
) -> Case:
    """Video 0 is found in full, 1 badly, 2 not at all; 3 has no instance; one was not scored."""
    truth = segments_from_rows([*names, "unscored"], classes, [*truth_rows, (4, 0, 1, 2, 1)])
    if not truth_rows:
        truth = segments_from_rows(names, classes, [])
    rows = [(0, 0, 2, 8, 0.9), (0, 1, 9, 12, 0.8), (1, 0, 3, 7, 0.6), (2, 0, 4, 8, 0.5)]
    detections = segments_from_rows(names, classes, [*rows, (3, 0, 1, 2, 0.3)])
    evaluation = Evaluation(
        detections,
        detection_map(truth, detections),
        0.75 if truth_rows else math.nan,
        THUMOS14.main_average,
    )
    return evaluation, [make_scores(name, 20, 20, len(classes)) for name in names], truth
