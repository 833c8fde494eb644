"""Scores as tables, in percent: text for the terminal, pandas for files and notebooks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eval.detection.average_precision import TIOU, DetectionResult, detection_map
from eval.detection.error_analysis import Breakdown
from eval.segments import Segments
from utils.errors import UserError


def map_table(result: DetectionResult) -> str:
    """What training and testing print: mAP at each threshold, the averages, what was scored."""
    rows = (
        ["tIoU", *(f"{value:g}" for value in result.tiou)],
        ["mAP %", *(f"{value * 100:.2f}" for value in result.mean_average_precision)],
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    averages = "   ".join(f"{name}: {value:.2f}" for name, value in result.averages().items())
    scored = int((result.instances > 0).sum())
    return "\n".join(
        [
            *lines,
            f"average mAP %   {averages}",
            f"scored: {result.videos} videos, {result.instances.sum()} instances of {scored} "
            f"classes, {result.detections.sum()} detections",
        ]
    )


def class_table(result: DetectionResult) -> pd.DataFrame:
    """Average precision of each class in percent, with its counts, and the means as the last row.

    Returns:
        Indexed by class name; columns instances, detections and `AP@t` for each threshold t.
        Classes without an instance are NaN and no part of the means.
    """
    frame = pd.DataFrame(
        {"instances": result.instances, "detections": result.detections},
        index=pd.Index(result.classes, name="class"),
    )
    for row, tiou in enumerate(result.tiou):
        frame[f"AP@{tiou:g}"] = result.average_precision[row] * 100
    mean = pd.DataFrame(index=pd.Index(["mean"], name="class"), columns=frame.columns)
    mean.loc["mean"] = [
        result.instances.sum(),
        result.detections.sum(),
        *(result.mean_average_precision * 100),
    ]
    return pd.concat([frame, mean.astype(frame.dtypes)])


def score_arrays(
    ground_truth: Mapping[str, Any] | pd.DataFrame,
    predictions: Mapping[str, Any] | pd.DataFrame,
    tiou: Sequence[float] = TIOU,
    *,
    ap: str = "activitynet",
) -> pd.DataFrame:
    """Scores detections from a notebook: arrays in, table out, no files.

        score_arrays(
            {"video": ["a", "a"], "label": ["Diving", "Diving"], "start": [1, 7], "end": [4, 9]},
            {"video": ["a"], "label": ["Diving"], "start": [1], "end": [5], "score": [0.8]},
            tiou=[0.5, 0.7],
        )

    Args:
        ground_truth: columns video, label, start and end (seconds), as a dict of equally long lists
            or arrays, or as a data frame; videos and labels are names or numbers.
        predictions: the same and score, higher is better. A detection in a video that the ground
            truth does not have is a false positive.
        tiou: K thresholds.
        ap: "activitynet" or "thumos14"; see `eval.detection.average_precision.detection_map`.

    Returns:
        The table of `class_table`: a row a class, and the mean.

    Raises:
        UserError: for a missing column, unequal lengths, and what `detection_map` refuses.
    """
    truth = segments_from_columns(ground_truth, "ground_truth", scored=False)
    detections = segments_from_columns(predictions, "predictions", scored=True)
    return class_table(detection_map(truth, detections, tiou, ap=ap))


def segments_from_columns(
    columns: Mapping[str, Any] | pd.DataFrame, what: str, *, scored: bool
) -> Segments:
    """Makes a table of segments from named columns (see `score_arrays`); names become text."""
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
    video, videos = pd.factorize(frame["video"].astype(str))
    label, labels = pd.factorize(frame["label"].astype(str))
    return Segments(
        tuple(videos),
        tuple(labels),
        video.astype(np.int64),
        label.astype(np.int64),
        times["start"],
        times["end"],
        times.get("score", np.ones(len(frame))),
    )


def breakdown_text(breakdown: Breakdown) -> str:
    """The error breakdown for the terminal: shares of the best detections, missed instances."""
    total = breakdown.errors.sum(axis=1)
    shares = breakdown.errors.div(total.clip(lower=1), axis=0) * 100
    shares["detections"] = total
    parts = [
        f"Errors at tIoU {breakdown.tiou:g}: what the best k G detections are, in % "
        "(G = instances of the class)",
        _text(shares, 1),
    ]
    for table in (breakdown.missed_by_length, breakdown.missed_by_number):
        missed = table.assign(**{"missed %": table["missed"] / table["instances"] * 100})
        parts += ["", f"Missed by the best 10G, by {table.index.name}", _text(missed, 1)]
    return "\n".join(parts)


def class_text(result: DetectionResult) -> str:
    """The table of `class_table` for the terminal."""
    return _text(class_table(result), 2)


def _text(frame: pd.DataFrame, decimals: int) -> str:
    return str(
        frame.rename_axis(None).to_string(float_format=f"{{:.{decimals}f}}".format, na_rep="-")
    )
