"""Evaluation of detections from a notebook: arrays in, data frames out, no files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from config.datasets import THUMOS14
from eval.detection.average_precision import DetectionResult, detection_map
from eval.detection.plain_values import detection_values
from eval.detection.tables import class_columns, class_rows
from eval.segments import Segments
from utils.errors import UserError


def score_arrays(
    ground_truth: Mapping[str, Any] | pd.DataFrame,
    predictions: Mapping[str, Any] | pd.DataFrame,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    ap: str = "activitynet",
) -> pd.DataFrame:
    """Evaluates detections given as arrays.

        score_arrays(
            {"video": ["a", "a"], "label": ["Diving", "Diving"], "start": [1, 7], "end": [4, 9]},
            {"video": ["a"], "label": ["Diving"], "start": [1], "end": [5], "score": [0.8]},
            tiou=[0.5, 0.7],
        )

    Args:
        ground_truth: Columns video, label, start and end (seconds), as a dict of equally long lists
            or arrays, or as a data frame; videos and labels are names or numbers.
        predictions: The same columns and score, higher is better. A detection in a video outside
            the ground truth is a false positive.
        tiou: K thresholds.
        ap: "activitynet" or "thumos14"; see `eval.detection.average_precision.detection_map`.

    Returns:
        The data frame of `class_table`: one row per class, and the mean.

    Raises:
        UserError: If a column is missing or too short, or `detection_map` refuses the values.
    """
    truth = segments_from_columns(ground_truth, "ground_truth", scored=False)
    detections = segments_from_columns(predictions, "predictions", scored=True)
    return class_table(detection_map(truth, detections, tiou, ap=ap))


def class_table(result: DetectionResult) -> pd.DataFrame:
    """Average precision of each class in percent, with its counts, and the means as the last row.

    Returns:
        Indexed by class name; columns instances, detections and `AP@t` for each threshold t.
        Classes without an instance are NaN and not part of the means.
    """
    values = detection_values(result)
    frame = pd.DataFrame(class_rows(values), columns=class_columns(values)).set_index("class")
    return frame.astype({name: float for name in frame.columns if name.startswith("AP@")})


def segments_from_columns(
    columns: Mapping[str, Any] | pd.DataFrame, what: str, *, scored: bool
) -> Segments:
    """Makes a table of segments from named columns (see `score_arrays`); names become text in
    composed Unicode.

    Args:
        columns: Columns by name.
        what: Name of the argument, for messages.
        scored: Whether there must be a column of scores; without it all scores are 1.

    Raises:
        UserError: If a column is missing or is not of numbers, the columns are of unequal length,
            or a segment ends before it starts.
    """
    wanted = ["video", "label", "start", "end", *(["score"] if scored else [])]
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise UserError(
            f"{what} has no column {', '.join(missing)}; wanted {', '.join(wanted)}, "
            f"found {', '.join(map(str, columns))}"
        )
    try:
        frame = pd.DataFrame({name: np.asarray(columns[name]) for name in wanted})
        times = {name: frame[name].to_numpy(np.float64) for name in wanted[2:]}
    except (TypeError, ValueError) as error:
        raise UserError(f"{what}: {error}; wanted equally long columns of numbers") from error
    backwards = np.flatnonzero(times["end"] < times["start"])
    if len(backwards):
        row = backwards[0]
        raise UserError(
            f"{what}: row {row} ends at {times['end'][row]:g} s, before it starts at "
            f"{times['start'][row]:g} s"
        )
    video, videos = pd.factorize(frame["video"].astype(str).str.normalize("NFC"))
    label, labels = pd.factorize(frame["label"].astype(str).str.normalize("NFC"))
    return Segments(
        tuple(videos),
        tuple(labels),
        video.astype(np.int64),
        label.astype(np.int64),
        times["start"],
        times["end"],
        times.get("score", np.ones(len(frame))),
    )
