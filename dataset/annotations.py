"""Reads the annotation file (gt.json)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset.annotation_checks import frame_warnings, label_warnings
from dataset.annotation_forms import WANTED, annotations_of, duration_of, entries_of, label_of
from dataset.labels import LabelReader
from dataset.numbers import number_of
from dataset.video_names import composed, is_text
from dataset.videos import NOWHERE, Segment, Video
from utils.errors import Problems, UserError, shown
from utils.files import read_json

ROUNDING = 1e-6  # seconds by which a time may be on the wrong side of 0 or of the start


def read_database(
    path: Path,
    labels: LabelReader | None = None,
    *,
    strict: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, Video]:
    """Reads an annotation file in the ActivityNet format or one of those of `annotation_forms`.

    Numbers may be written as strings. An annotation without a segment is a video-level label, which
    is enough for training. A segment that is invalid (its end before its start, before the start of
    the video, not two numbers) stays with its label and its flaw, because only the evaluation of
    this video needs it (`eval.invalid_segments`).

    Args:
        path: JSON file.
        labels: How labels become class names; by default as they are written.
        strict: Whether invalid segments and durations are errors.
        say: Receives lines about the form of the file, ignored labels and doubtful values.

    Returns:
        The videos by name in composed Unicode, in the order of the file.

    Raises:
        UserError: If the file cannot be read or has no video; or with a list of all entries that
            do not have this format.
    """
    entries, note = entries_of(read_json(path, "annotation", f"wanted JSON, {WANTED}"), path)
    if note:
        say(note)
    return database_of(entries, path, labels, strict=strict, say=say)


def database_of(
    entries: dict[str, Any],
    path: Path,
    labels: LabelReader | None = None,
    *,
    strict: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, Video]:
    """Makes the videos of an annotation file from its entries, with the checks of `read_database`.

    Args:
        entries: {video: {"duration", "subset", "annotations": [{"segment", "label"}]}}.
        path: File they come from, for messages; the other arguments as for `read_database`.
        labels: How labels become class names; by default as they are written.
        strict: Whether invalid segments and durations are errors.
        say: Receives lines about ignored labels and doubtful values.

    Returns:
        The videos by name in composed Unicode, in the order of the entries.

    Raises:
        UserError: With a list of all entries that do not have this format.
    """
    reader = _Reader(labels or LabelReader(), strict)
    videos = [reader.video(name, entry) for name, entry in entries.items()]
    database = {video.name: video for video in videos}
    if len(database) < len(videos):
        name, count = Counter(video.name for video in videos).most_common(1)[0]
        raise UserError(f"annotation file {path} has the video {shown(name)} {count} times")
    reader.problems.raise_if_any(f"annotation file {path}")
    for line in reader.lines(path, database):
        say(line)
    return database


class _Reader:
    """Reads the entries of one file, and collects problems and what has to be said about it."""

    def __init__(self, labels: LabelReader, strict: bool) -> None:
        self.labels = labels
        self.strict = strict
        self.problems = Problems()
        self.durations: list[str] = []  # those that are invalid
        self.from_class = ""  # the first annotation whose class is not in "label"
        self.ignored: Counter[str] = Counter()

    def video(self, name: str, entry: Any) -> Video:
        """Reads the entry of a video."""
        if not is_text(name):
            self.problems.add(
                f"video name {shown(name)} has control characters or is not valid Unicode"
            )
            name = shown(name)
        name = composed(name)
        if not isinstance(entry, dict):
            self.problems.add(f"{name}: wanted an object with duration, subset and annotations")
            return Video(name, "", None, ())
        subset = entry.get("subset") or ""
        if not isinstance(subset, str) or not is_text(subset):
            self.problems.add(f"{name}: subset {shown(subset)} is not a valid name")
            subset = ""
        items = annotations_of(entry)
        if isinstance(items, str):
            self.problems.add(f"{name}: {items}")
            items = []
        found = [self._annotation(name, number, item) for number, item in enumerate(items)]
        return Video(
            name,
            composed(subset),
            self._duration(name, entry),
            tuple(one for one in found if isinstance(one, Segment)),
            tuple(one for one in found if isinstance(one, str)),
        )

    def _duration(self, name: str, entry: dict[str, Any]) -> float | None:
        written = duration_of(entry)
        duration = number_of(written)
        if written is not None and (duration is None or duration <= 0):
            flaw = f"{name}: duration {shown(written)} is not a positive number of seconds"
            (self.problems.add if self.strict else self.durations.append)(flaw)
            return None
        return duration

    def _annotation(self, video: str, number: int, item: Any) -> Segment | str | None:
        """Reads a segment, or a label without a segment; None if it is ignored or a problem."""
        where = f"{video}, annotation {number}"
        if not isinstance(item, dict):
            self.problems.add(f"{where}: wanted an object with label and segment")
            return None
        written = label_of(item)
        try:
            label = self.labels(written)
        except ValueError as error:
            self.problems.add(f"{where}: {error}")
            return None
        if written is not item.get("label") and not self.from_class:
            self.from_class = where
        if label in self.labels.ignored:
            self.ignored[label] += 1
            return None
        times = item.get("segment")
        if times is None:
            return label
        start, end, flaw = _times(times)
        if flaw and self.strict:
            self.problems.add(f"{where}: {flaw}")
        return Segment(start, end, label, f"{where}: {flaw}" if flaw else "")

    def lines(self, path: Path, database: dict[str, Video]) -> list[str]:
        """One line per kind of remark on the file."""
        lines = []
        if self.from_class:
            lines.append(f'annotation file {path}: the class names are in "class"')
        for label, number in self.ignored.items():
            lines.append(f"annotations ignored: {number} with the label {label} (--ignore_labels)")
        if self.durations:
            lines.append(
                f"warning: {len(self.durations)} invalid durations count as unknown (first: "
                f"{self.durations[0]}); correct them, or use --strict to stop at them"
            )
        return [*lines, *label_warnings(database.values()), *frame_warnings(database.values())]


def _times(times: Any) -> tuple[float, float, str]:
    """Start and end in seconds, and what is wrong with them."""
    numbers = [number_of(time) for time in times] if isinstance(times, list) else []
    start, end = numbers if len(numbers) == 2 else (None, None)
    if start is None or end is None:
        return (*NOWHERE, f"segment {shown(times)} is not [start, end] in seconds")
    if -ROUNDING <= start < 0:
        start = 0.0
    if start - ROUNDING <= end < start:
        end = start
    if end < start:
        return start, end, f"segment {shown(times)} ends before it starts"
    if start < 0 and end <= 0:
        return (*NOWHERE, f"segment {shown(times)} lies before the start of the video")
    return start, end, f"segment {shown(times)} starts before 0 s" if start < 0 else ""
