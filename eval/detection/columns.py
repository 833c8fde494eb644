"""The usual names of the columns of a table of segments, in CSV files and data frames."""

import re
from collections.abc import Collection, Sequence

from utils.errors import UserError

# Spellings without case, spaces, hyphens, underscores and a unit of seconds; preferred ones first.
SPELLINGS = {
    "video": ("video", "videoid", "videoname", "vid"),
    "label": ("labelname", "classname", "label", "class", "category", "action"),
    "start": ("start", "tstart", "starttime", "starts", "startsec", "startseconds", "segmentstart"),
    "end": ("end", "tend", "endtime", "ends", "endsec", "endseconds", "segmentend"),
    "score": ("score", "confidence", "conf", "probability", "prob"),
    "subset": ("subset", "split"),
    "duration": ("duration", "durationsecond", "durationseconds"),
}
SEGMENT = ("video", "label", "start", "end")
DETECTION = (*SEGMENT, "score")
_UNIT = re.compile(r"[(\[]\s*s(ec(ond)?s?)?\s*[)\]]")
_SEPARATOR = re.compile(r"[\s_.-]+")


def find_columns(names: Sequence[str], optional: Collection[str] = ()) -> dict[str, int]:
    """The place of each column that is known by one of its usual names.

    Of several columns with the same meaning, such as label and class name, the preferred name in
    `SPELLINGS` decides.

    Args:
        names: Names of the columns of a table.
        optional: Fields to look for besides those of a detection.

    Returns:
        Index of the column by field: video, label, start, end, score and optional ones.
    """
    spelled: dict[str, int] = {}
    for place, name in enumerate(names):
        spelled.setdefault(_plain(name), place)
    found = {}
    for field in (*DETECTION, *optional):
        known = [spelled[form] for form in SPELLINGS[field] if form in spelled]
        if known:
            found[field] = known[0]
    return found


def require_columns(
    names: Sequence[str], where: str, wanted: Sequence[str], optional: Collection[str] = ()
) -> dict[str, int]:
    """The place of each wanted column, and of the optional ones that are there.

    Args:
        names: Names of the columns of a table.
        where: The table, for messages.
        wanted: Fields that must have a column.
        optional: Fields that may have one.

    Raises:
        UserError: If a wanted column is missing, naming those found, or a column that is used
            occurs twice.
    """
    found = find_columns(names, optional)
    missing = [field for field in wanted if field not in found]
    if missing:
        listed = ", ".join(name or "(no name)" for name in names)
        raise UserError(
            f"{where} has no column {', '.join(missing)}; wanted {', '.join(wanted)} (also as "
            f"video-id, t-start, t-end, class, confidence; times in seconds), found {listed}"
        )
    used = {field: place for field, place in found.items() if field in (*wanted, *optional)}
    for place in used.values():
        if names.count(names[place]) > 1:
            raise UserError(
                f"{where} has the column {names[place]} {names.count(names[place])} times; remove "
                "or rename the others"
            )
    return used


def columns_note(names: Sequence[str], used: dict[str, int]) -> str:
    """The columns that are read and those that are ignored, for a line about a file."""
    read = ", ".join(names[place] for place in used.values())
    others = [names[i] for i in range(len(names)) if i not in used.values() and names[i]]
    return f"columns {read}" + (f" (ignored: {', '.join(others)})" if others else "")


def _plain(name: str) -> str:
    """The significant letters of a column name."""
    return _SEPARATOR.sub("", _UNIT.sub("", name.strip().lower()))
