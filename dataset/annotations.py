"""Reads the annotation file (gt.json) and the split files."""

import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from utils.errors import Problems, UserError, shown
from utils.files import read_json


@dataclass(frozen=True)
class Segment:
    """One annotated action instance; start and end in seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Video:
    """One annotated video. Training reads only `labels`, never a segment."""

    name: str
    subset: str
    duration: float | None  # seconds; None if the file does not give it
    segments: tuple[Segment, ...]
    video_level_labels: tuple[str, ...] = ()  # classes of annotations without a segment

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that occur in the video, without duplicates, sorted by name."""
        of_segments = {segment.label for segment in self.segments}
        return tuple(sorted(of_segments.union(self.video_level_labels)))


def read_database(path: Path) -> dict[str, Video]:
    """Reads an annotation file in the ActivityNet format, such as the `gt.json` of ACM-Net.

    Args:
        path: JSON file `{"database": {name: {"duration": seconds, "subset": name, "annotations":
            [{"segment": [start, end] in seconds, "label": name}]}}}`; other keys are ignored. An
            annotation without a segment is a video-level label, which is enough for training.

    Returns:
        The videos by name, in the order of the file.

    Raises:
        UserError: If the file cannot be read or has no video; or with a list of all entries that
            do not have this format, a negative or non-finite time, or an end before its start.
    """
    content = read_json(path, "annotation")
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise UserError(
            f'annotation file {path} has no "database" object at the top level; '
            'wanted {"database": {video: {"duration", "subset", "annotations"}}}'
        )
    if not database:
        raise UserError(f"annotation file {path} has no videos in its database; copy it again")
    problems = Problems()
    videos = {name: _video(name, entry, problems) for name, entry in database.items()}
    problems.raise_if_any(f"annotation file {path}")
    return videos


def read_split(path: Path) -> list[str]:
    """Reads a split file: one video name per line; blank lines and Windows line ends are accepted.

    Args:
        path: Split file.

    Returns:
        The video names, in the order of the file.

    Raises:
        UserError: If the file cannot be read or names no video; or with a list of all duplicate
            names and names that are not plain file names (a path could leave the data directory).
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(
            f"split file {path} does not exist; wanted a text file with one video name per line"
        ) from error
    except OSError as error:
        raise UserError(f"split file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"split file {path} is not UTF-8 text (byte {error.start})") from error
    problems = Problems()
    first_line: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        if not is_plain_name(name):
            problems.add(
                f"line {number}: {shown(name)} is not a plain video name (no folders, no '..')"
            )
        elif name in first_line:
            problems.add(f"line {number}: {name} is already on line {first_line[name]}; remove one")
        else:
            first_line[name] = number
    problems.raise_if_any(f"split file {path}")
    if not first_line:
        raise UserError(f"split file {path} names no video; write one video name per line")
    return list(first_line)


def is_plain_name(name: str) -> bool:
    """Whether `name` is safe as a file name: no folder, drive or parent, nothing unprintable."""
    return (
        name not in {"", ".", ".."}
        and len(name.encode("utf-8", "replace")) <= 200
        and name.isprintable()
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )


def is_text(name: str) -> bool:
    """Whether `name` can be printed and written: no control characters, no lone surrogates."""
    return not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name)


def _video(name: str, entry: Any, problems: Problems) -> Video:
    if not is_text(name):
        problems.add(f"video name {shown(name)} has control characters or is not valid Unicode")
        name = shown(name)
    if not isinstance(entry, dict):
        problems.add(f"{name}: wanted an object with duration, subset and annotations")
        return Video(name, "", None, ())
    duration = entry.get("duration")
    if duration is not None and not (_is_time(duration) and duration > 0):
        problems.add(f"{name}: duration {shown(duration)} is not a positive number of seconds")
        duration = None
    subset = entry.get("subset", "")
    if not isinstance(subset, str) or not is_text(subset):
        problems.add(f"{name}: subset {shown(subset)} is not a valid name")
        subset = ""
    annotations = entry.get("annotations", [])
    if not isinstance(annotations, list):
        problems.add(f"{name}: annotations is not a list")
        annotations = []
    found = [
        _segment(f"{name}, annotation {number}", item, problems)
        for number, item in enumerate(annotations)
    ]
    return Video(
        name,
        subset,
        None if duration is None else float(duration),
        tuple(one for one in found if isinstance(one, Segment)),
        tuple(one for one in found if isinstance(one, str)),
    )


def _segment(where: str, item: Any, problems: Problems) -> Segment | str | None:
    """Reads one annotation: a segment, or a label without a segment, or None with a problem."""
    if not isinstance(item, dict):
        problems.add(f"{where}: wanted an object with label and segment")
        return None
    label, times = item.get("label"), item.get("segment")
    if not isinstance(label, str) or not label or not is_text(label):
        problems.add(f"{where}: label {shown(label)} is not a class name")
        return None
    if times is None:
        return label
    if not (isinstance(times, list) and len(times) == 2 and all(map(_is_time, times))):
        problems.add(f"{where}: segment {shown(times)} is not [start, end] in seconds")
        return None
    start, end = float(times[0]), float(times[1])
    if start < 0 or end < start:
        problems.add(f"{where}: segment {shown(times)} must have 0 <= start <= end")
        return None
    return Segment(start, end, label)


def _is_time(value: Any) -> bool:
    """Whether this is a finite number that fits into a double; JSON allows larger integers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
