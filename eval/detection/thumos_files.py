"""Text files of the official THUMOS14 evaluation kit.

Detections, one per line:  video start end class-number score; .mp4 after the name is removed
<Class>_test.txt:          instances of the class, one per line: video start end
Ambiguous_test.txt:        doubtful intervals, whatever the class
detclasslist.txt:          numbers of the classes, one per line: number Class
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.datasets import THUMOS14
from dataset.labels import read_class_names
from dataset.numbers import index_of
from dataset.text_files import read_lines
from dataset.video_names import composed, is_text
from eval.detection.detection_rows import Row
from utils.errors import Problems, UserError, shown

AMBIGUOUS = "Ambiguous"
CLASS_LIST = "detclasslist.txt"
_NUMBERS = (7, 9, 12, 21, 22, 23, 24, 26, 31, 33, 36, 40, 45, 51, 68, 79, 85, 92, 93, 97)
CLASS_NUMBERS = dict(zip(_NUMBERS, THUMOS14.classes, strict=True))
_ANNOTATION_FILE = re.compile(r"(.+)_(test|val|validation|train|training)\.txt")


def read_kit_detections(
    text: str, where: str, class_names: Mapping[int, str], *, strict: bool = False
) -> tuple[tuple[str, ...], list[Row], list[str]]:
    """Reads the text of a detection file of the kit.

    A class may also be written by its name. Detections of other class numbers are left out with a
    warning, as the kit does: it knows the numbers of all 101 THUMOS14 classes, of which 20 are
    detected.

    Args:
        text: Content of the file.
        where: The file, for messages.
        class_names: Class names by number; those of the kit if it is empty.
        strict: Whether an unknown class number is an error.

    Returns:
        The videos, the detections with class names, and lines about the file.

    Raises:
        UserError: If a line has another form, no class number is known, or one is not and `strict`.
    """
    known = class_names or CLASS_NUMBERS
    index: dict[str, int] = {}
    rows: list[Row] = []
    unknown: Counter[int] = Counter()
    for line, words in _split_lines(text):
        if len(words) != 5:
            raise UserError(
                f"{where}, line {line}: {len(words)} values; wanted five: video start end "
                "class-number score"
            )
        video, start, end, label, score = words
        number = index_of(label)
        if number is not None and number not in known:
            if strict:
                raise UserError(f"{where}, line {line}: {_unknown_class(number, known)}")
            unknown[number] += 1
            continue
        name = label if number is None else known[number]
        place = index.setdefault(_video(video, f"{where}, line {line}"), len(index))
        rows.append(Row(place, line, name, [start, end], score))
    source = "--class_names or detclasslist.txt" if class_names else "THUMOS14"
    notes = [f"{where}: text of the THUMOS14 kit, class numbers of {source}"]
    if unknown:
        first = next(iter(unknown))
        if not rows:
            raise UserError(f"{where}: {_unknown_class(first, known)}")
        notes.append(
            f"warning: {unknown.total()} detections of {len(unknown)} unknown classes are left "
            f"out; {_unknown_class(first, known)}"
        )
    return tuple(index), rows, notes


def read_kit_annotations(folder: Path) -> tuple[dict[str, Any], str]:
    """Reads the annotation files of the kit in a folder.

    Args:
        folder: Folder with one file per class; `detclasslist.txt` is optional and says which
            classes there must be.

    Returns:
        Entries by video as in ActivityNet JSON, and one line about what was read. The instances of
        a class and video keep the order of their file; ambiguous intervals are annotations with
        the label Ambiguous.

    Raises:
        UserError: If the folder has no such file, one for a listed class is missing, or with a list
            of all lines that have another form.
    """
    files = _annotation_files(folder)
    entries: dict[str, Any] = {}
    count: Counter[str] = Counter()
    problems = Problems()
    for path, label, subset in files:
        for line, words in read_lines(path, "annotation", "lines of video, start and end"):
            values = words.split()
            if len(values) != 3:
                problems.add(f"{path.name}, line {line}: {shown(words)}; wanted video start end")
                continue
            with problems.collect():
                name = _video(values[0], f"{path.name}, line {line}")
                entry = entries.setdefault(name, {"subset": subset, "annotations": []})
                if entry["subset"] != subset:
                    problems.add(f"{path.name}: {name} is also in subset {entry['subset']}")
                entry["annotations"].append({"label": label, "segment": values[1:]})
                count[label] += 1
    problems.raise_if_any(f"annotation folder {folder}")
    ambiguous = count.pop(AMBIGUOUS, 0)
    return entries, (
        f"annotation folder {folder}: THUMOS14 kit, {count.total()} instances of {len(count)} "
        f"classes and {ambiguous} ambiguous intervals in {len(entries)} videos"
    )


def class_list(folder: Path) -> Path | None:
    """The list of class numbers in a folder of the kit; None if there is none."""
    path = Path(folder) / CLASS_LIST
    return path if path.is_file() else None


def _annotation_files(folder: Path) -> list[tuple[Path, str, str]]:
    """Path, class and subset of each annotation file, in the order of the class list."""
    annotations = Path(folder) / "gt.json"
    if annotations.exists():
        raise UserError(f"annotation folder {folder} is a data directory; give {annotations}")
    found = [
        (path, composed(match[1]), match[2])
        for path in sorted(Path(folder).iterdir())
        if (match := _ANNOTATION_FILE.fullmatch(path.name))
    ]
    if not {label for _, label, _ in found} - {AMBIGUOUS}:
        raise UserError(
            f"annotation folder {folder} has no file such as Diving_test.txt; wanted the "
            "annotation folder of the THUMOS14 kit, or a file: ActivityNet JSON or CSV"
        )
    listed = class_list(folder)
    if listed is None:
        return found
    classes = list(read_class_names(listed).values())
    for subset in dict.fromkeys(subset for _, _, subset in found):
        labels = {label for _, label, other in found if other == subset}
        missing = [name for name in classes if name not in labels]
        if missing:
            raise UserError(
                f"annotation folder {folder} has no {missing[0]}_{subset}.txt, although "
                f"{CLASS_LIST} lists the class ({len(missing)} such classes); copy the folder again"
            )
    order = {name: place for place, name in enumerate(classes)}
    return sorted(
        (file for file in found if file[1] in order or file[1] == AMBIGUOUS),
        key=lambda file: order.get(file[1], len(order)),
    )


def _split_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and words of each line that is not blank."""
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.split():
            yield number, words


def _video(name: str, where: str) -> str:
    """The name of a video without .mp4."""
    video = composed(name.removesuffix(".mp4"))
    if not video or not is_text(video):
        raise UserError(f"{where}: {shown(name)} is not a video name")
    return video


def _unknown_class(number: int, known: Mapping[int, str]) -> str:
    return (
        f"class number {number} is not one of {', '.join(map(str, sorted(known)))}; if the file "
        "has other numbers, give --class_names FILE, with lines of number and name"
    )
