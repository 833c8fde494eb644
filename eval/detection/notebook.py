"""Evaluation of detections from a notebook: data frames in, data frames out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config.datasets import THUMOS14
from dataset.labels import make_label_reader
from eval.detection.annotation_file import read_annotations as read_annotated_videos
from eval.detection.average_precision import ACTIVITYNET, DetectionResult, detection_map
from eval.detection.columns import DETECTION, SEGMENT, require_columns
from eval.detection.plain_values import detection_values
from eval.detection.prediction_file import read_predictions
from eval.detection.protocols import evaluate
from eval.detection.tables import class_columns, class_rows
from eval.detection.thumos_files import class_list
from eval.segments import Segments
from utils.errors import UserError


def read_detections(path: str | Path, *, class_names: str = "") -> pd.DataFrame:
    """Reads a prediction file: ActivityNet JSON, CSV or detections of the THUMOS14 kit.

    Args:
        path: File; its content decides which format it has.
        class_names: File with the names of labels that are numbers (docs/FORMATS.md).

    Returns:
        Columns video, label, start, end (seconds) and score; one row per detection.

    Raises:
        UserError: If the file cannot be read.
    """
    segments = read_predictions(Path(path), make_label_reader(class_names=class_names))
    return segments_frame(segments)


def read_annotations(
    path: str | Path, subset: str | None = None, *, class_names: str = ""
) -> pd.DataFrame:
    """Reads annotations: ActivityNet JSON, CSV or the annotation folder of the THUMOS14 kit.

    Args:
        path: File or folder; its content decides which format it has.
        subset: Subset to keep; by default all videos.
        class_names: File with the names of labels that are numbers (docs/FORMATS.md).

    Returns:
        Columns video, label, start, end (seconds) and subset; one row per instance. Ambiguous
        intervals have the label Ambiguous.

    Raises:
        UserError: If the file cannot be read or has no such subset.
    """
    listed = str(class_list(Path(path)) or "")
    labels = make_label_reader(class_names=class_names or listed)
    database = read_annotated_videos(Path(path), labels)
    subsets = {video.subset for video in database.values()}
    if subset is not None and subset not in subsets:
        known = ", ".join(map(repr, sorted(subsets)))
        raise UserError(f"subset {subset!r} is not in {path}; it has {known}")
    rows = [
        (video.name, segment.label, segment.start, segment.end, video.subset)
        for video in database.values()
        for segment in video.segments
        if subset in (None, video.subset)
    ]
    return pd.DataFrame(rows, columns=[*SEGMENT, "subset"])


def score_frames(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    protocol: str = ACTIVITYNET,
    ignore_labels: Collection[str] = THUMOS14.ignored_labels,
) -> pd.DataFrame:
    """Evaluates a data frame of detections against a data frame of annotations.

    >>> import pandas as pd
    >>> truth = pd.DataFrame(
    ...     [("a", "Diving", 1, 4), ("a", "Diving", 7, 9)],
    ...     columns=["video", "label", "start", "end"],
    ... )
    >>> found = pd.DataFrame(
    ...     {"video-id": ["a"], "t-start": [1], "t-end": [5], "label": ["Diving"], "score": [0.8]}
    ... )
    >>> score_frames(truth, found, tiou=[0.5, 0.8]).loc["mean"].to_dict()
    {'instances': 2.0, 'detections': 1.0, 'AP@0.5': 50.0, 'AP@0.8': 0.0}

    Args:
        truth: One row per instance, with columns for video, label, start and end (seconds) under
            one of their usual names, such as those of `read_annotations` or video-id, t-start and
            t-end; other columns are ignored. Videos and labels are names or numbers.
        predictions: The same columns and score, higher is better. A detection in a video outside
            the ground truth is a false positive.
        tiou: K thresholds.
        protocol: "activitynet", or "thumos-kit" for that of the official THUMOS14 kit.
        ignore_labels: Labels of `truth` that are no class; the protocol "thumos-kit" counts no
            false positives in these intervals.

    Returns:
        The data frame of `class_table`: one row per class, and the mean.

    Raises:
        UserError: If a column is missing or not of numbers, a segment ends before it starts, or
            the protocol is unknown.
    """
    annotated = segments_from_columns(truth, "truth", scored=False)
    found = segments_from_columns(predictions, "predictions", scored=True)
    ignored = np.array([name in ignore_labels for name in annotated.classes], bool)[annotated.label]
    result = evaluate(
        _with_occurring_classes(annotated.take(~ignored)),
        found,
        tiou,
        protocol=protocol,
        ambiguous=annotated.take(ignored),
    )
    return class_table(result)


def score_arrays(
    ground_truth: Mapping[str, Any] | pd.DataFrame,
    predictions: Mapping[str, Any] | pd.DataFrame,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    ap: str = ACTIVITYNET,
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
        ap: "activitynet" or "non-interpolated"; see
            `eval.detection.average_precision.detection_map`.

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
        Indexed by class name; columns instances, detections and `AP@t` for each threshold t; the
        protocol is in `attrs`. Classes without an instance are NaN and not part of the means.
    """
    values = detection_values(result)
    frame = pd.DataFrame(class_rows(values), columns=class_columns(values)).set_index("class")
    frame = frame.astype({name: float for name in frame.columns if name.startswith("AP@")})
    frame.attrs["protocol"] = result.protocol
    return frame


def segments_frame(segments: Segments) -> pd.DataFrame:
    """The rows of a table of segments, with names instead of indices."""
    return pd.DataFrame(
        {
            "video": np.array([*segments.videos, ""], object)[segments.video],
            "label": np.array([*segments.classes, ""], object)[segments.label],
            "start": segments.start,
            "end": segments.end,
            "score": segments.score,
        }
    )


def segments_from_columns(
    columns: Mapping[str, Any] | pd.DataFrame, what: str, *, scored: bool
) -> Segments:
    """Makes a table of segments from columns (see `score_frames`); names become text in composed
    Unicode.

    Args:
        columns: Columns by name.
        what: Name of the argument, for messages.
        scored: Whether there must be a column of scores; without it all scores are 1.

    Raises:
        UserError: If a column is missing or is not of numbers, the columns are of unequal length,
            or a segment ends before it starts.
    """
    wanted = DETECTION if scored else SEGMENT
    names: list[Any] = list(columns)
    places = require_columns(list(map(str, names)), what, wanted)
    try:
        frame = pd.DataFrame({name: np.asarray(columns[names[places[name]]]) for name in wanted})
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


def _with_occurring_classes(segments: Segments) -> Segments:
    """The rows with only those classes that occur, in order of appearance."""
    used = list(dict.fromkeys(segments.label.tolist()))
    place = np.zeros(len(segments.classes), np.int64)
    place[used] = np.arange(len(used))
    classes = tuple(segments.classes[label] for label in used)
    return Segments(
        segments.videos,
        classes,
        segments.video,
        place[segments.label],
        segments.start,
        segments.end,
        segments.score,
    )
