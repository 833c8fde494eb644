"""Prediction files: ActivityNet JSON, CSV and the text of the THUMOS14 kit (docs/FORMATS.md).

{"version": "...", "external_data": {},
 "results": {video: [{"label": class, "score": number, "segment": [start s, end s]}]}}
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.labels import LabelReader
from dataset.video_names import composed, is_text
from eval.detection.columns import DETECTION
from eval.detection.detection_rows import Row, make_table
from eval.detection.file_format import WANTED, Format, format_of, read_text
from eval.detection.table_file import read_table
from eval.detection.thumos_files import read_kit_detections
from eval.segments import Segments
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


def read_predictions(
    path: Path,
    labels: LabelReader | None = None,
    *,
    strict: bool = False,
    say: Callable[[str], object] = print,
) -> Segments:
    """Reads the detections of a prediction file, of this program or any other.

    The content decides which format it is; for all but ActivityNet JSON a line says so. Tolerated:
    additional keys and columns, numbers written as strings, detections in any order, in JSON no
    `version`, no `external_data` and videos with an empty list. Equal detections are all kept.
    Times outside their range are treated as in the ActivityNet toolkit.

    Args:
        path: File to read.
        labels: How labels become class names; by default as they are written, and numbers in the
            text of the THUMOS14 kit by the list of that kit.
        strict: Whether a negative time, an end before its start and an unknown class number of
            the kit are errors.
        say: Receives the line about the format and one warning per kind of doubtful entry.

    Returns:
        Detections and videos in the order of the file, classes in order of appearance; names in
        composed Unicode.

    Raises:
        UserError: If the file has another form or a number that is not finite; one line about the
            first such entry.
    """
    path, where = Path(path), f"prediction file {path}"
    class_name = labels or LabelReader()
    form = format_of(path, "prediction")
    if form is Format.TABLE:
        return _read_table(path, where, class_name, strict=strict, say=say)
    if form is Format.KIT_DETECTIONS:
        videos, rows, notes = read_kit_detections(
            read_text(path, "prediction"), where, class_name.class_names, strict=strict
        )
        for note in notes:
            say(note)
        return make_table(videos, rows, class_name, _line, where, strict=strict, say=say)
    if form is Format.KIT_INTERVALS:
        raise UserError(
            f"{where} has lines of three values, as annotations of the THUMOS14 kit; wanted "
            "detections, one per line: video start end class-number score"
        )
    results = _results(path)
    videos = _video_names(path, results)
    return make_table(
        videos,
        _json_rows(where, videos, results),
        class_name,
        lambda row: f"{videos[row.video]}, detection {row.number}",
        where,
        strict=strict,
        say=say,
    )


def _read_table(
    path: Path, where: str, labels: LabelReader, *, strict: bool, say: Callable[[str], object]
) -> Segments:
    """Reads a CSV file."""
    table = read_table(read_text(path, "prediction"), where, DETECTION)
    say(f"{where}: {table.note}")
    index: dict[str, int] = {}
    names = []
    for name, line in zip(table.columns["video"], table.lines, strict=True):
        if not name or not is_text(name):
            raise UserError(f"{where}, line {line}: {shown(name)} is not a video name")
        names.append(index.setdefault(composed(name), len(index)))
    values = (table.columns[field] for field in ("label", "start", "end", "score"))
    rows = (
        Row(video, line, label, [start, end], score)
        for video, line, label, start, end, score in zip(names, table.lines, *values, strict=True)
    )
    return make_table(tuple(index), rows, labels, _line, where, strict=strict, say=say)


def _line(row: Row) -> str:
    return f"line {row.number}"


def _results(path: Path) -> Mapping[str, Any]:
    """The object "results" of a JSON file."""
    content = read_json(path, "prediction", f"{WANTED} (docs/FORMATS.md)")
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise UserError(f'prediction file {path} has no "results" object at its top; wanted {FORM}')
    return results


def _json_rows(where: str, videos: tuple[str, ...], results: Mapping[str, Any]) -> Iterator[Row]:
    """The detections of a JSON file."""
    for index, (video, items) in enumerate(zip(videos, results.values(), strict=True)):
        if not isinstance(items, list):
            found = type(items).__name__
            raise UserError(f"{where}, {video}: wanted a list, found {found}")
        for number, item in enumerate(items):
            try:
                yield Row(index, number, item["label"], _segment(item), item["score"])
            except (KeyError, TypeError, ValueError):
                problem = _problem(item)
                raise UserError(f"{where}, {video}, detection {number}: {problem}") from None


def _segment(item: dict[str, Any]) -> list[Any]:
    segment = item["segment"]
    if not isinstance(segment, list) or len(segment) != 2:
        raise ValueError
    return segment


def _problem(item: Any) -> str:
    """Which part of an entry is not as wanted."""
    if not isinstance(item, dict):
        return f"wanted an object with label, score and segment, found {shown(item)}"
    for key in ("label", "score", "segment"):
        if key not in item:
            return f"{key} is missing; wanted label, score and segment"
    return f"segment {shown(item['segment'])} is not [start, end] in seconds"


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
