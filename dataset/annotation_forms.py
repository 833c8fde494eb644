"""The forms of annotation files in use, brought to one: entries by video, annotations by entry.

{"database": {video: {"duration", "subset", "annotations": [{"segment", "label"}]}}}  ActivityNet
{video: {"duration_second", "annotations": [{"segment", "label"}]}}                   BSN, BMN
{video: {"duration", "segments": [[start, end]], "labels": [label]}}                  flat
"""

from pathlib import Path
from typing import Any

from utils.errors import UserError

WANTED = '{"database": {video: {"duration", "subset", "annotations"}}}'
_DURATIONS = ("duration", "duration_second", "duration_seconds")
_CONTENT = ("annotations", "segments")
_SAID = ("subset", *_DURATIONS, "annotations", "segments", "labels")


def entries_of(content: Any, path: Path) -> tuple[dict[str, Any], str]:
    """The entries of an annotation file by video name.

    Args:
        content: Content of the JSON file.
        path: Path, for messages.

    Returns:
        The entries, and one line that says which form was taken; "" for the ActivityNet form.

    Raises:
        UserError: If the file has another form or no video.
    """
    entries, outer = content, ""
    if isinstance(content, dict) and "database" in content:
        entries = content["database"]
    elif isinstance(content, dict) and content:
        described = sum(_is_entry(entry) for entry in content.values())
        entries = content if 2 * described > len(content) else None
        outer = ' without "database"'
    if not isinstance(entries, dict) or (entries is content and not outer):
        raise UserError(
            f'annotation file {path} has no "database" object at the top level; wanted {WANTED}, '
            'or the videos without "database" around them'
        )
    if not entries:
        raise UserError(f"annotation file {path} has no videos in its database; copy it again")
    first: dict[str, Any] = next(filter(_is_entry, entries.values()), {})
    if not outer and ("annotations" in first or "segments" not in first):
        return entries, ""
    keys = ", ".join(f'"{key}"' for key in _SAID if key in first)
    return entries, f"annotation file {path}: read as {{video: {{{keys}}}}}{outer}"


def duration_of(entry: dict[str, Any]) -> Any:
    """The duration in an entry as it is written; None if there is none."""
    return next((entry[key] for key in _DURATIONS if entry.get(key) is not None), None)


def annotations_of(entry: dict[str, Any]) -> list[Any] | str:
    """The annotations of an entry as a list of objects, or what is wrong with it."""
    if "annotations" in entry or "segments" not in entry:
        items = entry.get("annotations", [])
        return items if isinstance(items, list) else "annotations is not a list"
    segments, labels = entry["segments"], entry.get("labels")
    if not isinstance(segments, list) or not isinstance(labels, list):
        return "segments and labels are not two lists"
    if len(segments) != len(labels):
        return f"{len(segments)} segments, but {len(labels)} labels; wanted one label per segment"
    pairs = zip(segments, labels, strict=True)
    return [{"segment": segment, "label": label} for segment, label in pairs]


def label_of(item: dict[str, Any]) -> Any:
    """The label of an annotation: `label`, or `class` if `label` is absent or a number."""
    label = item.get("label")
    if isinstance(item.get("class"), str) and not isinstance(label, str):
        return item["class"]
    return label


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and any(key in entry for key in _CONTENT)
