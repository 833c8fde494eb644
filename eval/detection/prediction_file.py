"""The prediction file, ActivityNet JSON: predictions of any method can be evaluated.

{"version": "...", "external_data": {},
 "results": {video: [{"label": class, "score": number, "segment": [start s, end s]}]}}
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.annotations import is_text
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError, shown
from utils.files import read_json, write_json

FORM = '{"results": {video: [{"label": name, "score": number, "segment": [start, end]}]}}'


def write_predictions(path: Path, segments: Segments) -> None:
    """Writes detections as a file that the ActivityNet toolkit and `read_predictions` can read.

    Videos come in the order of `segments.videos`, those without a detection as an empty list; the
    detections of a video keep the order of the table. Numbers are written with enough digits to
    restore the same float64, so a table that is grouped by video is read back unchanged.

    Args:
        path: File to write.
        segments: Detections.

    Raises:
        UserError: If the file cannot be written.
        ValueError: If a number is not finite, which JSON cannot represent.
    """
    results: dict[str, list[dict[str, Any]]] = {video: [] for video in segments.videos}
    columns = (segments.video, segments.label, segments.start, segments.end, segments.score)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for video, label, start, end, score in rows:
        results[segments.videos[video]].append(
            {"label": segments.classes[label], "score": score, "segment": [start, end]}
        )
    write_json(path, {"version": "VERSION 1.3", "results": results, "external_data": {}})


def read_predictions(path: Path) -> Segments:
    """Reads the detections of a prediction file, of this program or any other.

    Tolerated: no `version`, no `external_data`, additional keys, scores written as strings,
    detections in any order, videos with an empty list. Equal detections are all kept.

    Args:
        path: File to read.

    Returns:
        Detections and videos in the order of the file, classes in order of appearance.

    Raises:
        UserError: If the file has another form, a number that is not finite, a negative time, or
            an end before its start; one line about the first such entry.
    """
    content = read_json(path, "prediction")
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise UserError(f'prediction file {path} has no "results" object at its top; wanted {FORM}')
    classes: dict[str, int] = {}

    def rows() -> Iterator[tuple[int, int, float, float, float]]:
        for index, (video, items) in enumerate(results.items()):
            if not is_text(video):
                raise UserError(
                    f"prediction file {path}: video name {shown(video)} has control characters or "
                    "is not Unicode"
                )
            if not isinstance(items, list):
                found = type(items).__name__
                raise UserError(f"prediction file {path}, {video}: wanted a list, found {found}")
            for number, item in enumerate(items):
                try:
                    label, start, end, score = _detection(item)
                except ValueError as error:
                    where = f"prediction file {path}, {video}, detection {number}"
                    raise UserError(f"{where}: {error}") from None
                yield index, classes.setdefault(label, len(classes)), start, end, score

    columns = list(rows())
    return segments_from_rows(tuple(results), tuple(classes), columns)


def _detection(item: Any) -> tuple[str, float, float, float]:
    """Label, start, end and score of one entry.

    Raises:
        ValueError: If it has another form, saying what is wrong.
    """
    if not isinstance(item, dict):
        raise ValueError(f"wanted an object with label, score and segment, found {shown(item)}")
    for key in ("label", "score", "segment"):
        if key not in item:
            raise ValueError(f"{key} is missing; wanted label, score and segment")
    label, segment = item["label"], item["segment"]
    if not isinstance(label, str) or not label or not is_text(label):
        raise ValueError(f"label {shown(label)} is not a class name")
    if not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(f"segment {shown(segment)} is not [start, end] in seconds")
    start, end = _number("segment start", segment[0]), _number("segment end", segment[1])
    score = item["score"]
    score = _number("score", _parsed(score) if isinstance(score, str) else score)
    if start < 0:
        raise ValueError(f"segment {shown(segment)} starts before 0 s")
    if end < start:
        raise ValueError(
            f"segment {shown(segment)} ends before it starts; wanted [start, end] in seconds"
        )
    return label, start, end, score


def _number(what: str, value: Any) -> float:
    """A finite float from a JSON number; JSON also allows integers too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} {shown(value)} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{what} {number} is not finite; wanted a finite number")
    return number


def _parsed(text: str) -> float | str:
    """The number in a score written as a string, or the string itself if it is not a number."""
    try:
        return float(text)
    except ValueError:
        return text
