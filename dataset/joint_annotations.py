"""The annotation arrays beside a joint feature file: *-Annotations/*.npy (W-TALC, CO2-Net, DELU).

Every array has one entry per video, V of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.pickled_arrays import read_array
from dataset.video_names import composed, is_plain_name
from utils.errors import Problems, UserError, first_line, shown

# Names, subsets and durations; the label of each segment, the labels of each video, the segments.
ARRAYS = ("videoname", "subset", "duration", "labels", "labels_all", "segments")
TRAINING, TEST, VALIDATION = {"training", "train"}, {"testing", "test"}, {"validation", "val"}
DEEPEST = 8  # levels of lists in an array


@dataclass(frozen=True)
class AnnotationArrays:
    """The annotations of V videos.

    Attributes:
        annotations: Folder of the arrays.
        names: (V,) names of the videos.
        columns: The arrays that exist, by name, as lists of plain values.
        subsets: Subset of the annotations that is each split.
    """

    annotations: Path
    names: list[str]
    columns: Mapping[str, list[Any]]
    subsets: Mapping[str, str]

    @classmethod
    def read(
        cls, folder: Path, count: int, subsets: Mapping[str, str], required: Sequence[str]
    ) -> "AnnotationArrays":
        """Reads the arrays.

        Args:
            folder: Their folder.
            count: Number of videos (V).
            subsets: Subset of the annotations that is each split.
            required: Arrays without which the data cannot be used.

        Raises:
            UserError: If an array is missing, refused or damaged, or does not have one entry per
                video; or if names of videos are not unique, or no file names.
        """
        columns = {}
        for array in ARRAYS:
            path = folder / f"{array}.npy"
            if path.exists() or array in required:
                columns[array] = _read_column(path)
                if len(columns[array]) != count:
                    raise UserError(
                        f"{path} has {len(columns[array])} entries, but there are features of "
                        f"{count} videos; wanted one entry per video"
                    )
        names = [composed(str(name)) for name in columns["videoname"]]
        problems, before = Problems(), set[str]()
        for number, name in enumerate(names):
            if not is_plain_name(name):
                problems.add(f"entry {number}: {shown(name)} is not a plain video name")
            elif name in before:
                problems.add(f"entry {number}: {name} is there twice; remove one")
            before.add(name)
        problems.raise_if_any(f"annotation file {folder / 'videoname.npy'}")
        return cls(folder, names, columns, subsets)

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video in the form of gt.json, and a remark on the splits.

        Raises:
            UserError: If there are no labels.
        """
        if not {"labels", "labels_all"} & self.columns.keys():
            raise UserError(f"{self.annotations} has neither labels.npy nor labels_all.npy")
        rows = [
            {array: column[number] for array, column in self.columns.items()}
            for number in range(len(self.names))
        ]
        split_of = _splits([str(row["subset"]) for row in rows], [_labels(row) for row in rows])
        found = {}
        for name, row in zip(self.names, rows, strict=True):
            split = split_of.get(row["subset"], "")
            found[name] = {
                "subset": self.subsets.get(split, "unused"),
                "annotations": _annotations(row, split == "train"),
            }
            if "duration" in row:
                found[name]["duration"] = (_listed(row["duration"]) or [None])[0]
        read = ", ".join(f"{old} as subset {self.subsets[new]}" for old, new in split_of.items())
        return found, f"annotations of {self.annotations.name}: {read or 'no labels'}"

    def digest(self) -> str:
        """SHA-256 of the arrays."""
        digest = hashlib.sha256()
        for array in sorted(self.columns):
            digest.update((self.annotations / f"{array}.npy").read_bytes())
        return digest.hexdigest()


def _read_column(path: Path) -> list[Any]:
    """Reads an array of one entry per video as plain values."""
    array = read_array(path)
    if array.ndim == 0:
        raise UserError(f"{path} is a single value, wanted one entry per video")
    try:
        return [_plain(value) for value in array]
    except ValueError as error:
        raise UserError(
            f"{path} cannot be used ({first_line(error)}); wanted texts, numbers and lists of them"
        ) from error


def _plain(value: Any, depth: int = 0) -> Any:
    """The value in texts, numbers and lists, as in JSON."""
    if depth > DEEPEST:
        raise ValueError(f"lists in lists, more than {DEEPEST} levels")
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):  # what Python 2 wrote
        return value.decode("utf-8")
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"found {type(value).__name__}")


def _splits(subsets: Sequence[str], labels: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Which subset is which split: its split by subset.

    ActivityNet trains on training and tests on validation, as testing has no labels; THUMOS14
    trains on validation and tests on test.
    """
    labelled = {subset for subset, known in zip(subsets, labels, strict=True) if known}
    train = (labelled & TRAINING) or (labelled & VALIDATION)
    test = (labelled & TEST) or (labelled & VALIDATION) - train
    return dict.fromkeys(sorted(train), "train") | dict.fromkeys(sorted(test), "test")


def _labels(row: Mapping[str, Any]) -> list[Any]:
    """All labels of a video."""
    return [*_listed(row.get("labels")), *_listed(row.get("labels_all"))]


def _annotations(row: Mapping[str, Any], training: bool) -> list[dict[str, Any]]:
    """The annotations of a video; labels alone where there are no segments.

    The labels of the video are those of its segments. Where they are not, the field trains on the
    former and evaluates the latter.
    """
    labels, segments = _listed(row.get("labels")), _listed(row.get("segments"))
    found: list[dict[str, Any]] = [{"label": label} for label in labels]
    if len(segments) == len(labels):
        pairs = zip(labels, segments, strict=True)
        found = [{"label": label, "segment": segment} for label, segment in pairs]
    if training or "labels" not in row:
        known = _listed(row.get("labels_all"))
        found += [{"label": label} for label in known if label not in labels]
    return found


def _listed(value: Any) -> list[Any]:
    """A list; a single value is one item, None is none."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
