"""One feature file, <video>.npy: checks its header and reads its snippets.

Letters: N snippets of a video, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.video_names import match_names, prefix_note
from utils.errors import Problems, UserError

# Order of the axes of a feature file: T snippets, D channels, C crops, 1 an axis of length 1.
# Features of several crops of a frame are averaged.
AXES = ("TD", "DT", "1TD", "TCD", "CTD")
USUAL_CROPS = 10  # corners and centre, of a frame and of its mirror image


class FeatureForm(NamedTuple):
    """How the arrays of all feature files of a data directory are to be read.

    Attributes:
        axes: One of `AXES`.
        flow_first: Whether the first half of the channels is flow; they are read RGB first.
    """

    axes: str = "TD"
    flow_first: bool = False

    def transposed(self) -> "FeatureForm":
        """The same form with snippets and channels exchanged."""
        return self._replace(axes=self.axes.translate(str.maketrans("TD", "DT")))


PLAIN = FeatureForm()


class SnippetFile(Protocol):
    """The snippets of a video in a file, read as needed.

    Attributes:
        name: Name of the video.
        path: Path of the file.
        shape: (N, D).
        dtype: float16, float32 or float64, of either byte order.
        state: What changes whenever the file does.
    """

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def state(self) -> tuple[int, ...]: ...

    def read(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Returns snippets in the precision of the file.

        Raises:
            UserError: If the file has been removed or changed since its header was read.
        """

    def transposed(self) -> "SnippetFile":
        """The same file read with rows and columns exchanged."""


@dataclass(frozen=True)
class FeatureFile:
    """The location of a video's snippets in its .npy file, a `SnippetFile`.

    Attributes:
        name: Name of the video.
        path: Path of the file.
        stored: Shape of the array in the file.
        dtype: float16, float32 or float64, of either byte order.
        offset: Bytes before the first value.
        order: Storage order of the array, "C" or "F".
        state: Size in bytes and modification time in ns when the header was read.
        form: How the array is read.
    """

    name: str
    path: Path
    stored: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    order: Literal["C", "F"]
    state: tuple[int, ...]
    form: FeatureForm = PLAIN

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        axes = self.form.axes
        return self.stored[axes.index("T")], self.stored[axes.index("D")]

    def transposed(self) -> "FeatureFile":
        """The same file read with rows and columns exchanged."""
        return replace(self, form=self.form.transposed())

    def read(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Returns snippets in the precision of the file; see `SnippetFile.read`."""
        try:
            if file_state(self.path) == self.state:
                # Mapped anew each time: thousands of files must not be open at the same time.
                place = self.offset, self.stored, self.order
                return in_form(np.memmap(self.path, self.dtype, "r", *place), self.form, index)
            found = "has changed"
        except (OSError, ValueError) as error:
            found = f"can no longer be read ({getattr(error, 'strerror', None) or error})"
        raise UserError(
            f"{self.path} {found} since it was checked at the start; feature files must not change "
            "while the program runs. Restore the file and start again"
        )


def in_form(
    array: NDArray[np.floating], form: FeatureForm, index: slice | NDArray[np.int64]
) -> NDArray[np.floating]:
    """Returns snippets (n, D) of a stored array, RGB first; a view where that is possible.

    Args:
        array: The array as it is in the file.
        form: How it is read.
        index: Which snippets.
    """
    axes = [form.axes.index(axis) for axis in "TCD" if axis in form.axes]
    ones = tuple(axis for axis, letter in enumerate(form.axes) if letter == "1")
    view = array.transpose(*axes, *ones)
    found = view.reshape(view.shape[: len(axes)])[index]
    if found.ndim == 3:
        found = found.mean(axis=1, dtype=np.result_type(found.dtype, np.float32))
    if form.flow_first:
        half = found.shape[1] // 2
        found = np.concatenate([found[:, half:], found[:, :half]], axis=1)
    return found


class HeaderCache(Protocol):
    """Headers that were read before; see `dataset.features.check_cache`."""

    def header(self, name: str, path: Path) -> FeatureFile | None: ...

    def add_header(self, file: FeatureFile) -> None: ...


def find_features(
    folder: Path,
    names: Sequence[str],
    problems: Problems,
    cache: HeaderCache | None = None,
    form: FeatureForm = PLAIN,
) -> list[FeatureFile]:
    """Reads the header of `<folder>/<name>.npy` for every name.

    A file whose name has another Unicode form, or differs in the prefix `v_`, is found too; a line
    is printed about the prefix.

    Args:
        folder: Folder with the feature files of a split.
        names: Video names.
        problems: Collects every file that is missing or unusable.
        cache: Headers of files that have not changed since they were read.
        form: How the arrays are read.

    Returns:
        The files without a problem, in the order of the names.
    """
    stems = _stems(folder, names)
    # Not in threads: parsing several headers at the same time sometimes fails on Python 3.11.
    files = []
    for name in names:
        path = folder / f"{stems.get(name, name)}.npy"
        found = (cache.header(name, path) if cache else None) or _find_file(name, path, folder)
        if isinstance(found, str):
            problems.add(found)
            continue
        if cache:
            cache.add_header(found)
        if problem := form_problem(path, found.stored, form):
            problems.add(problem)
            continue
        files.append(replace(found, form=form))
    return files


def form_problem(path: Path, stored: tuple[int, ...], form: FeatureForm) -> str:
    """Why an array of this shape cannot be read in this form; "" if it can."""
    axes = form.axes
    if len(stored) != len(axes):
        wanted = "2 dimensions (snippets, channels)" if axes == "TD" else f"those of {axes}"
        help_ = _helpful_flag(stored)
        return f"{path} has shape {stored}, wanted {wanted}{f'; {help_}' if help_ else ''}"
    if "1" in axes and stored[axes.index("1")] != 1:
        return f"{path} has shape {stored}, wanted an axis of length 1 where --feature_axes says 1"
    channels = stored[axes.index("D")]
    if form.flow_first and channels % 2:
        return (
            f"{path} has {channels} channels, which --channel_order flow_rgb cannot halve; wanted "
            "as many channels of flow as of RGB (if the files are transposed, --feature_axes DT)"
        )
    return ""


def _helpful_flag(stored: tuple[int, ...]) -> str:
    """Which flag reads an array of this shape; "" if none does."""
    if len(stored) == 2:
        return "--feature_axes TD reads (snippets, channels), DT (channels, snippets)"
    if len(stored) != 3:
        return ""
    if stored[0] == 1:
        return "--feature_axes 1TD reads it"
    if USUAL_CROPS in stored[:2]:
        axes = "TCD" if stored[1] == USUAL_CROPS else "CTD"
        return f"--feature_axes {axes} averages its {USUAL_CROPS} crops"
    return "--feature_axes TCD or CTD averages crops"


def _stems(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The name of each video in its feature file, where it is not the same."""
    present = {path.stem for path in folder.glob("*.npy")}
    if present.issuperset(names):
        return {}
    found = match_names(names, present)
    if note := prefix_note(found, str(folder), "feature files"):
        print(note)
    return found


def _find_file(name: str, path: Path, folder: Path) -> FeatureFile | str:
    """Reads and checks the header of a file; returns a message if there is a problem."""
    if not path.is_file():
        return f"{path} does not exist; every video of the split needs a feature file"
    if folder.resolve() not in path.resolve().parents:
        return f"{path} is a link that leads out of {folder}; put the file itself there"
    try:
        state = file_state(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError:
        return f"{path} cannot be read: permission denied"
    except Exception:  # numpy and the parsers below it raise many types for a damaged file
        return (
            f"{path} is not a complete .npy array of numbers (truncated, another format, "
            "or Python objects); copy it again"
        )
    if not isinstance(array, np.memmap):
        return f"{path} is an .npz archive, wanted a single .npy array"
    if 0 in array.shape:
        return f"{path} is empty: shape {array.shape}, wanted at least one snippet and one channel"
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        return f"{path} holds {array.dtype}, wanted float16, float32 or float64"
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return FeatureFile(name, path, array.shape, array.dtype, array.offset, order, state)


def find_feature_file(name: str, path: Path, form: FeatureForm = PLAIN) -> FeatureFile:
    """Reads and checks the header of one feature file, wherever it is.

    Args:
        name: Name of the video.
        path: Path of the file.
        form: How the array is read.

    Raises:
        UserError: If it is missing or unusable.
    """
    found = _find_file(name, path, path.resolve().parent)
    if isinstance(found, str):
        raise UserError(found)
    if problem := form_problem(path, found.stored, form):
        raise UserError(problem)
    return replace(found, form=form)


def file_state(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
