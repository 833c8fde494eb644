"""Writes predictions and annotations in another format, chosen by the extension of the file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.videos import Segment, Video
from eval.detection.prediction_file import write_predictions
from eval.detection.table_file import HEADER, table_text
from eval.detection.thumos_files import CLASS_NUMBERS
from eval.segments import Segments
from utils.errors import UserError, shown
from utils.files import write_json, write_text

PREDICTION_SUFFIXES = {
    ".json": "ActivityNet JSON",
    ".csv": "CSV",
    ".txt": "text of the THUMOS14 kit",
}
ANNOTATION_SUFFIXES = {".json": "ActivityNet JSON", ".csv": "CSV"}


def convert_predictions(
    path: Path,
    segments: Segments,
    class_names: Mapping[int, str] | None = None,
    *,
    say: Callable[[str], object] = print,
) -> None:
    """Writes detections as ActivityNet JSON, CSV or text of the THUMOS14 kit.

    Times and scores have enough digits to restore the same float64. CSV and the text of the kit
    have no place for a video without a detection; a line says how many are lost.

    Args:
        path: File to write; .json, .csv or .txt.
        segments: Detections.
        class_names: Class names by number, for the text of the kit; by default those of the kit.
        say: Receives a line about what was written.

    Raises:
        UserError: If the extension is another one, a video or class cannot be written in the text
            of the kit, or the file cannot be written.
    """
    suffix = _suffix(path, PREDICTION_SUFFIXES)
    if suffix == ".json":
        write_predictions(path, segments)
    elif suffix == ".csv":
        rows = [(v, start, end, label, score) for v, label, start, end, score in _rows(segments)]
        write_text(path, table_text(HEADER.split(","), rows))
    else:
        write_text(path, _kit_text(segments, class_names or CLASS_NUMBERS))
    lost = len(segments.videos) - len(set(segments.video.tolist())) if suffix != ".json" else 0
    note = f"; {lost} videos without a detection are not in it" if lost else ""
    say(f"written: {path}, {len(segments)} detections as {PREDICTION_SUFFIXES[suffix]}{note}")


def convert_annotations(
    path: Path, database: Mapping[str, Video], *, say: Callable[[str], object] = print
) -> None:
    """Writes annotations as ActivityNet JSON or CSV.

    Args:
        path: File to write; .json or .csv.
        database: Annotated videos by name.
        say: Receives a line about what was written.

    Raises:
        UserError: If the extension is another one or the file cannot be written.
    """
    suffix = _suffix(path, ANNOTATION_SUFFIXES)
    number = sum(len(v.segments) + len(v.video_level_labels) for v in database.values())
    lost = 0
    if suffix == ".json":
        entries = {name: _entry(video) for name, video in database.items()}
        write_json(path, {"database": entries}, indent=1)
    else:
        header = ["video-id", "subset", "duration", "t-start", "t-end", "label"]
        write_text(path, table_text(header, _annotation_rows(database)))
        lost = sum(not video.labels for video in database.values())
    note = f"; {lost} videos without an annotation are not in it" if lost else ""
    say(f"written: {path}, {number} annotations as {ANNOTATION_SUFFIXES[suffix]}{note}")


def _suffix(path: Path, known: Mapping[str, str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        wanted = ", ".join(f"{name} ({what})" for name, what in known.items())
        raise UserError(f"--convert {path}: the extension decides the format; wanted {wanted}")
    return suffix


def _rows(segments: Segments) -> list[tuple[str, str, float, float, float]]:
    """Video, class, start, end and score of each detection."""
    return [
        (segments.videos[video], segments.classes[label], start, end, score)
        for video, label, start, end, score in zip(
            segments.video.tolist(),
            segments.label.tolist(),
            segments.start.tolist(),
            segments.end.tolist(),
            segments.score.tolist(),
            strict=True,
        )
    ]


def _kit_text(segments: Segments, class_names: Mapping[int, str]) -> str:
    """One line per detection: video start end class-number score."""
    numbers = {name: number for number, name in class_names.items()}
    lines = []
    for video, label, start, end, score in _rows(segments):
        if label not in numbers:
            raise UserError(
                f"class {shown(label)} has no number in the THUMOS14 kit; give --class_names FILE, "
                "with lines of number and name"
            )
        if len(video.split()) != 1:
            raise UserError(
                f"video {shown(video)} has a space in its name, which separates the values in the "
                "text of the THUMOS14 kit; convert to .csv or .json"
            )
        lines.append(f"{video} {start!r} {end!r} {numbers[label]} {score!r}\n")
    return "".join(lines)


def _entry(video: Video) -> dict[str, Any]:
    """The entry of a video in ActivityNet JSON."""
    duration = {} if video.duration is None else {"duration": video.duration}
    annotations: list[dict[str, Any]] = [
        {"label": s.label, "segment": [s.start, s.end]} for s in video.segments
    ]
    annotations += [{"label": label} for label in video.video_level_labels]
    return {"subset": video.subset, **duration, "annotations": annotations}


def _annotation_rows(database: Mapping[str, Video]) -> list[tuple[object, ...]]:
    def row(video: Video, segment: Segment) -> tuple[object, ...]:
        duration = "" if video.duration is None else video.duration
        return video.name, video.subset, duration, segment.start, segment.end, segment.label

    rows = [row(video, segment) for video in database.values() for segment in video.segments]
    for video in database.values():
        duration = "" if video.duration is None else video.duration
        rows += [(video.name, video.subset, duration, "", "", v) for v in video.video_level_labels]
    return rows
