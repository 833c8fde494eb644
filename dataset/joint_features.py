"""All videos in one file: *-JOINTFeatures.npy and its annotation arrays (W-TALC, CO2-Net, DELU).

Letters: V videos, N snippets of a video, D channels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.features.files import (
    FeatureForm,
    HeaderCache,
    SnippetFile,
    file_state,
    form_problem,
    in_form,
)
from dataset.pickled_arrays import read_array
from utils.errors import Problems, UserError

FEATURES, ANNOTATIONS = "*-JOINTFeatures.npy", "*-Annotations"
ARRAYS = ("videoname", "subset", "duration", "labels", "segments")  # one entry per video
OPTIONAL = ("duration", "segments")


class JointPaths(NamedTuple):
    """The file of the features and the folder of the annotation arrays."""

    features: Path
    annotations: Path


@dataclass(frozen=True)
class ArrayFile:
    """The snippets of a video in an array that has been read; a `SnippetFile`.

    Attributes:
        name: Name of the video.
        path: File from which the array was read.
        array: The array as it was stored.
        state: State of the file.
        form: How the array is read.
    """

    name: str
    path: Path
    array: NDArray[np.floating]
    state: tuple[int, ...]
    form: FeatureForm

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        axes = self.form.axes
        return self.array.shape[axes.index("T")], self.array.shape[axes.index("D")]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        return self.array.dtype

    def read(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Returns snippets, (n, D)."""
        return in_form(self.array, self.form, index)

    def transposed(self) -> "ArrayFile":
        """The same array read with rows and columns exchanged."""
        return replace(self, form=self.form._replace(axes="DT"))


@dataclass(frozen=True)
class JointFiles:
    """A joint layout that has been read; features stay in memory, as one file holds them all.

    Attributes:
        paths: Its files.
        names: (V,) names of the videos.
        features: (V,) features by video.
        columns: The annotation arrays by name, an entry per video.
        form: How the feature arrays are read.
        subsets: Subset that is each split.
    """

    paths: JointPaths
    names: list[str]
    features: list[Any]
    columns: Mapping[str, list[Any]]
    form: FeatureForm
    subsets: Mapping[str, str]

    @classmethod
    def opened(
        cls, paths: JointPaths, form: FeatureForm, subsets: Mapping[str, str]
    ) -> "JointFiles":
        """Reads features and annotation arrays.

        Raises:
            UserError: If a file is missing, refused or damaged, or if their lengths differ.
        """
        columns = {}
        for name in ARRAYS:
            path = paths.annotations / f"{name}.npy"
            if path.exists() or name not in OPTIONAL:
                columns[name] = list(read_array(path))
        features = list(read_array(paths.features))
        for name, column in columns.items():
            if len(column) != len(features):
                raise UserError(
                    f"{paths.annotations / name}.npy has {len(column)} entries and "
                    f"{paths.features} {len(features)} videos; wanted one for each video"
                )
        names = [_text(name) for name in columns["videoname"]]
        return cls(paths, names, features, columns, form, subsets)

    @property
    def annotations(self) -> Path:
        """Folder of the annotation arrays."""
        return self.paths.annotations

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video in the form of gt.json, and a remark."""
        written = [_text(subset) for subset in self.columns["subset"]]
        has_test = "test" in written or "testing" in written
        test = {"test", "testing"} if has_test else {"validation", "val"}
        subsets = [self.subsets["test" if subset in test else "train"] for subset in written]
        found = {}
        for number, name in enumerate(self.names):
            row = {column: values[number] for column, values in self.columns.items()}
            entry: dict[str, Any] = {"subset": subsets[number], "annotations": _annotations(row)}
            if "duration" in row:
                entry["duration"] = float(np.ravel(row["duration"])[0])
            found[name] = entry
        kinds = ", ".join(sorted(set(written) & test)) or "no video"
        return found, f"annotations of {self.annotations.name}: the test split is {kinds}"

    def digest(self) -> str:
        """SHA-256 of the annotation arrays."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            digest.update((self.annotations / f"{name}.npy").read_bytes())
        return digest.hexdigest()

    def present(self, split: str) -> set[str]:
        """Names of all videos."""
        return set(self.names)

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The features of some videos, in their order; a problem for each that has none."""
        path, found = self.paths.features, []
        place = {name: number for number, name in enumerate(self.names)}
        state = file_state(path)
        for name in names:
            array = self.features[place[name]] if name in place else None
            if array is None:
                problems.add(f"{path} has no video {name}; every video of a split needs features")
                continue
            where = Path(f"{path}[{place[name]}]")
            array = np.asarray(array)
            if array.dtype.kind != "f" or 0 in array.shape:
                problems.add(
                    f"{where} ({name}) holds {array.dtype} of shape {array.shape}, wanted float "
                    "(snippets, channels), at least one of each"
                )
            elif problem := form_problem(where, array.shape, self.form):
                problems.add(problem)
            else:
                found.append(ArrayFile(name, where, array, (*state, place[name]), self.form))
        return found


def find_joint_files(folder: Path) -> JointPaths | None:
    """The files of a joint layout in a folder; None if there are none.

    Raises:
        UserError: If there are several.
    """
    features = sorted(folder.glob(FEATURES)) or sorted(folder.glob(f"features/{FEATURES}"))
    annotations = [path for path in sorted(folder.glob(ANNOTATIONS)) if path.is_dir()]
    if not features or not annotations:
        return None
    if len(features) > 1 or len(annotations) > 1:
        listed = ", ".join(path.name for path in [*features, *annotations])
        raise UserError(f"{folder} has more than one data set: {listed}; put each into a folder")
    return JointPaths(features[0], annotations[0])


def _annotations(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a video from its entries in the arrays; labels alone without segments."""
    labels = [_text(label) for label in _listed(row["labels"])]
    segments = _listed(row.get("segments", []))
    if len(segments) != len(labels):
        return [{"label": label} for label in labels]
    return [
        {"label": label, "segment": [float(time) for time in _listed(segment)]}
        for label, segment in zip(labels, segments, strict=True)
    ]


def _text(value: Any) -> str:
    """A name, which Python 2 wrote as bytes."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _listed(value: Any) -> list[Any]:
    """The items of a list or array; a single text is one item."""
    return [value] if isinstance(value, str | bytes) else list(value)
