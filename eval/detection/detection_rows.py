"""Detections as they are written in a file, checked and made into a table."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dataset.annotations import ROUNDING
from dataset.labels import LabelReader
from dataset.numbers import number_of
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError, shown


class Row(NamedTuple):
    """One detection, unchecked.

    Attributes:
        video: Index of its video.
        number: Number of its entry in the video, or of its line, for messages.
        label: Class name, or a number that stands for one.
        segment: Start and end in seconds.
        score: Higher is better.
    """

    video: int
    number: int
    label: Any
    segment: list[Any]
    score: Any


def make_table(
    videos: tuple[str, ...],
    rows: Iterable[Row],
    labels: LabelReader,
    where: Callable[[Row], str],
    path: str,
    *,
    strict: bool,
    say: Callable[[str], object],
) -> Segments:
    """Checks detections and collects them; the classes are those that occur, in this order.

    Args:
        videos: Names of the videos.
        rows: Detections.
        labels: How labels become class names.
        where: The place of a detection in the file, for messages.
        path: The file, for messages.
        strict: Whether a negative time and an end before its start are errors.
        say: Receives one warning per kind of doubtful time.

    Raises:
        UserError: If a label is no class name or a number is not finite, about the first such row.
    """
    classes: dict[str, int] = {}
    doubtful = _Doubtful()
    table = []
    for row in rows:
        try:
            label = labels(row.label)
            start = _number("segment start", row.segment[0])
            end = _number("segment end", row.segment[1])
            score = _number("score", row.score)
            if start < 0 or end < start:
                if strict:
                    raise ValueError(_time_problem(start, row.segment))
                place = f"{where(row)}: {shown(row.segment)}"
                start, end = doubtful.times(start, end, place)
        except ValueError as error:
            raise UserError(f"{path}, {where(row)}: {error}") from None
        table.append((row.video, classes.setdefault(label, len(classes)), start, end, score))
    for line in doubtful.lines():
        say(line)
    return segments_from_rows(videos, tuple(classes), table)


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


def _number(what: str, value: Any) -> float:
    """The finite number in a value of a file."""
    number = number_of(value)
    if number is None:
        raise ValueError(f"{what} {shown(value)} is not a finite number")
    return number


def _time_problem(start: float, segment: Any) -> str:
    if start < 0:
        return f"segment {shown(segment)} starts before 0 s"
    return f"segment {shown(segment)} ends before it starts; wanted [start, end] in seconds"
