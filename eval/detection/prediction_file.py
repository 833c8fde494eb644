"""The prediction file, ActivityNet JSON: predictions of any method can be evaluated.

{"version": "...", "external_data": {},
 "results": {video: [{"label": class, "score": number, "segment": [start s, end s]}]}}
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.annotations import ROUNDING
from dataset.labels import LabelReader
from dataset.numbers import number_of
from dataset.video_names import composed, is_text
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError, shown
from utils.files import read_json, write_json

FORM = '{"results": {video: [{"label": name, "score": number, "segment": [start, end]}]}}'
CONVERSION = "docs/FORMATS.md shows how to convert a pickled data frame"


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


def read_predictions(
    path: Path,
    labels: LabelReader | None = None,
    *,
    strict: bool = False,
    say: Callable[[str], object] = print,
) -> Segments:
    """Reads the detections of a prediction file, of this program or any other.

    Tolerated: no `version`, no `external_data`, additional keys, numbers written as strings,
    detections in any order, videos with an empty list. Equal detections are all kept. Times outside
    their range are treated as in the ActivityNet toolkit, see `_Doubtful`.

    Args:
        path: File to read.
        labels: How labels become class names; by default as they are written.
        strict: Whether a negative time and an end before its start are errors.
        say: Receives one warning per kind of doubtful time.

    Returns:
        Detections and videos in the order of the file, classes in order of appearance; names in
        composed Unicode.

    Raises:
        UserError: If the file has another form or a number that is not finite; one line about the
            first such entry.
    """
    content = read_json(path, "prediction", f"wanted JSON, {FORM}; {CONVERSION}")
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise UserError(f'prediction file {path} has no "results" object at its top; wanted {FORM}')
    videos = _video_names(path, results)
    class_name = labels or LabelReader()
    classes: dict[str, int] = {}
    doubtful = _Doubtful()

    def rows() -> Iterator[tuple[int, int, float, float, float]]:
        for index, (video, items) in enumerate(zip(videos, results.values(), strict=True)):
            if not isinstance(items, list):
                found = type(items).__name__
                raise UserError(f"prediction file {path}, {video}: wanted a list, found {found}")
            for number, item in enumerate(items):
                try:
                    label, start, end, score = _detection(item, class_name)
                    if start < 0 or end < start:
                        segment = item["segment"]
                        if strict:
                            raise ValueError(_time_problem(start, segment))
                        where = f"{video}, detection {number}: {shown(segment)}"
                        start, end = doubtful.times(start, end, where)
                except ValueError as error:
                    where = f"prediction file {path}, {video}, detection {number}"
                    raise UserError(f"{where}: {error}") from None
                yield index, classes.setdefault(label, len(classes)), start, end, score

    columns = list(rows())
    for line in doubtful.lines():
        say(line)
    return segments_from_rows(videos, tuple(classes), columns)


class _Doubtful:
    """Detections whose times are out of range, by what becomes of them: the first, and how many.

    A time that is negative or before its start by rounding alone is set to 0 or to the start. The
    others are kept: the ActivityNet toolkit uses negative times as they are, and a detection that
    ends before it starts has a temporal IoU of 0 with every instance.
    """

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def times(self, start: float, end: float, where: str) -> tuple[float, float]:
        """Start and end of a detection to evaluate with."""
        written = start, end
        if -ROUNDING <= start < 0:
            start = 0.0
        if start - ROUNDING <= end < start:
            end = start
        if (start, end) != written:
            self._add(f"up to {ROUNDING:g} s before 0 s or before their start were clipped", where)
        if end < start:
            self._add("that end before they start count as false positives", where)
        elif start < 0:
            self._add("that start before 0 s are evaluated as they are", where)
        return start, end

    def lines(self) -> list[str]:
        """One warning per kind."""
        return [
            f"warning: {number} detections {what} (first: {self.first[what]}); correct them, or "
            "use --strict to stop at them"
            for what, number in self.count.items()
        ]

    def _add(self, what: str, where: str) -> None:
        self.count[what] += 1
        self.first.setdefault(what, where)


def _video_names(path: Path, results: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the videos in composed Unicode."""
    for video in results:
        if not is_text(video):
            raise UserError(
                f"prediction file {path}: video name {shown(video)} has control characters or is "
                "not Unicode"
            )
    names = tuple(map(composed, results))
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise UserError(f"prediction file {path} has the video {shown(name)} {count} times")
    return names


def _detection(item: Any, class_name: LabelReader) -> tuple[str, float, float, float]:
    """Label, start, end and score of one entry.

    Raises:
        ValueError: If it has another form, saying what is wrong.
    """
    if not isinstance(item, dict):
        raise ValueError(f"wanted an object with label, score and segment, found {shown(item)}")
    for key in ("label", "score", "segment"):
        if key not in item:
            raise ValueError(f"{key} is missing; wanted label, score and segment")
    segment = item["segment"]
    label = class_name(item["label"])
    if not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(f"segment {shown(segment)} is not [start, end] in seconds")
    return (
        label,
        _number("segment start", segment[0]),
        _number("segment end", segment[1]),
        _number("score", item["score"]),
    )


def _number(what: str, value: Any) -> float:
    """The finite number in a JSON value."""
    number = number_of(value)
    if number is None:
        raise ValueError(f"{what} {shown(value)} is not a finite number")
    return number


def _time_problem(start: float, segment: Any) -> str:
    if start < 0:
        return f"segment {shown(segment)} starts before 0 s"
    return f"segment {shown(segment)} ends before it starts; wanted [start, end] in seconds"
