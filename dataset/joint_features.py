"""All videos in one file: *-JOINTFeatures.npy and its annotation arrays (W-TALC, CO2-Net, DELU).

Letters: V videos, N snippets of a video, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

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
from dataset.video_names import match_names, prefix_note
from utils.errors import Problems, UserError

ENDING, ANNOTATIONS = "JOINTFeatures.npy", "-Annotations"


class JointPaths(NamedTuple):
    """The file of the features and the folder of the annotation arrays."""

    features: Path
    annotations: Path


class Annotations(Protocol):
    """Where the annotations of a data directory are."""

    @property
    def annotations(self) -> Path:
        """File or folder of the annotations, for messages."""

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video in the form of gt.json, and a remark on their form.

        Raises:
            UserError: If they cannot be read.
        """

    def digest(self) -> str:
        """SHA-256 of the annotations."""


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
        return replace(self, form=self.form.transposed())


class JointLayout:
    """One file that holds the features of all videos, and stays in memory as it is read at once.

    Args:
        features: Path of the file.
        arrays: (V,) its content.
        names: (V,) names of the videos.
        source: Their annotations.
        form: How the feature arrays are read.
    """

    in_memory: ClassVar[bool] = True

    def __init__(
        self,
        features: Path,
        arrays: NDArray[Any],
        names: Sequence[str],
        source: Annotations,
        form: FeatureForm,
    ) -> None:
        self.features, self.source, self.form = features, source, form
        self.arrays = {name: _as_array(item) for name, item in zip(names, arrays, strict=True)}
        self.numbers = {name: number for number, name in enumerate(names)}
        self.empty = {name for name, array in self.arrays.items() if _is_empty(array)}
        if self.empty:
            print(
                f"{features.name}: {len(self.empty)} of {len(names)} videos have no features, or "
                f"only zeros, and count as missing (such as {min(self.empty)})"
            )

    @property
    def annotations(self) -> Path:
        """Where the annotations are."""
        return self.source.annotations

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video, and a remark on them."""
        return self.source.entries()

    def digest(self) -> str:
        """SHA-256 of the annotations."""
        return self.source.digest()

    def present(self, split: str) -> set[str]:
        """Names of all videos with features."""
        return self.arrays.keys() - self.empty

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The features of some videos, in their order; a problem for each that has none."""
        found, state = [], file_state(self.features)
        spelled = match_names(names, self.present(split))
        if note := prefix_note(spelled, self.features.name, "features"):
            print(note)
        for name in names:
            if name not in spelled:
                problems.add(
                    f"{self.features} has no features of {name}; every video of a split needs them"
                )
                continue
            array, number = self.arrays[spelled[name]], self.numbers[spelled[name]]
            where = Path(f"{self.features}[{number}]")
            if array.dtype.kind != "f" or 0 in array.shape or array.dtype.itemsize > 8:
                problems.add(
                    f"{where} ({name}) holds {array.dtype} of shape {array.shape}, wanted float16, "
                    "float32 or float64 of shape (snippets, channels)"
                )
            elif problem := form_problem(where, array.shape, self.form):
                problems.add(problem)
            else:
                found.append(ArrayFile(name, where, array, (*state, number), self.form))
        return found


def find_joint_files(folder: Path) -> JointPaths | None:
    """The files of a joint layout in a folder or its folder features/; None if there are none.

    The name of the data set, with which both begin, decides which annotations belong to it: the
    code of W-TALC comes with those of several data sets.

    Raises:
        UserError: If there are several files, or if one has no annotations.
    """
    found = sorted(folder.glob(f"*{ENDING}")) or sorted(folder.glob(f"features/*{ENDING}"))
    if not found:
        return None
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise UserError(f"{folder} has several joint feature files: {listed}; wanted one")
    data_set = found[0].name.removesuffix(ENDING).split("-")[0]
    every = [path for path in sorted(folder.glob(f"*{ANNOTATIONS}")) if path.is_dir()]
    own = [path for path in every if path.name == f"{data_set}{ANNOTATIONS}"]
    if len(own or every) != 1:
        there = ", ".join(path.name for path in every) or "none"
        raise UserError(
            f"{found[0]} needs the folder {folder / data_set}{ANNOTATIONS} with videoname.npy and "
            f"other arrays; folders found: {there}"
        )
    return JointPaths(found[0], (own or every)[0])


def _as_array(item: Any) -> NDArray[Any]:
    """The array of a video; an array of one object if the item is something else."""
    return np.asarray(item) if isinstance(item, np.ndarray) else np.array(None)


def _is_empty(array: NDArray[Any]) -> bool:
    """Whether there are no features; ActivityNet's arrays have zeros for missing videos."""
    return array.size == 0 or (array.dtype.kind == "f" and not array.any())
