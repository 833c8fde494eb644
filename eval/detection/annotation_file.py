"""Annotations to evaluate with: JSON, CSV and the folder of the THUMOS14 kit (docs/FORMATS.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset.annotations import database_of, read_database
from dataset.labels import LabelReader
from dataset.numbers import number_of
from dataset.videos import Video
from eval.detection.columns import SEGMENT
from eval.detection.file_format import Format, format_of, read_text
from eval.detection.table_file import read_table
from eval.detection.thumos_files import read_kit_annotations
from utils.errors import Problems, UserError


def read_annotations(
    path: Path,
    labels: LabelReader | None = None,
    *,
    strict: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, Video]:
    """Reads annotations; the content decides which format they have.

    Args:
        path: JSON file (see `dataset.annotations.read_database`); CSV file with one row per
            instance; or annotation folder of the THUMOS14 kit.
        labels: How labels become class names; by default as they are written.
        strict: Whether invalid segments and durations are errors.
        say: Receives lines about the format, ignored labels and doubtful values.

    Returns:
        The videos by name in composed Unicode, in the order of the file.

    Raises:
        UserError: If the file cannot be read or has no video; or with a list of all entries that
            have another form.
    """
    path = Path(path)
    form = format_of(path, "annotation")
    if form is Format.JSON:
        return read_database(path, labels, strict=strict, say=say)
    if form is Format.KIT_INTERVALS:
        raise UserError(
            f"annotation file {path} has the annotations of one class of the THUMOS14 kit; give "
            f"its folder instead: {path.parent}"
        )
    if form is Format.KIT_DETECTIONS:
        raise UserError(
            f"annotation file {path} has lines of five values, as detections of the THUMOS14 kit; "
            "wanted annotations: ActivityNet JSON, CSV or the annotation folder of the kit"
        )
    entries, note = read_kit_annotations(path) if form is Format.FOLDER else _table_entries(path)
    say(note)
    return database_of(entries, path, labels, strict=strict, say=say)


def _table_entries(path: Path) -> tuple[dict[str, Any], str]:
    """The entries of a CSV file by video, as in ActivityNet JSON, and a line about its columns.

    A row without start and end is a video-level label; the subset and the duration of a video may
    be written in each of its rows.
    """
    where = f"annotation file {path}"
    table = read_table(read_text(path, "annotation"), where, SEGMENT, ("subset", "duration"))
    entries: dict[str, Any] = {}
    problems = Problems()
    columns = table.columns
    for row, line in enumerate(table.lines):
        name = columns["video"][row]
        if not name:
            problems.add(f"line {line}: no video name")
            continue
        entry = entries.setdefault(name, {"annotations": []})
        for field in ("subset", "duration"):
            value = columns[field][row] if field in columns else ""
            if value and entry.setdefault(field, value) != value:
                problems.add(f"line {line}: {field} of {name} is {value}, before {entry[field]}")
        item: dict[str, Any] = {"label": columns["label"][row]}
        times = [columns["start"][row], columns["end"][row]]
        if any(times):
            item["segment"] = [_number(time) for time in times]
        entry["annotations"].append(item)
    problems.raise_if_any(where)
    if not entries:
        raise UserError(f"{where} has a header and no rows; copy it again")
    return entries, f"{where}: {table.note}"


def _number(text: str) -> float | str:
    number = number_of(text)
    return text if number is None else number
