"""One feature file, <video>.npy: checks its header and reads its snippets.

Letters: N snippets of a video, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.video_names import match_names, prefix_note
from utils.errors import Problems, UserError


@dataclass(frozen=True)
class FeatureFile:
    """The location of a video's snippets in its .npy file.

    Attributes:
        name: Name of the video.
        path: Path of the file.
        shape: (N, D).
        dtype: float16, float32 or float64, of either byte order.
        offset: Bytes before the first snippet.
        order: "C" if the file is stored snippet by snippet, "F" if channel by channel.
        state: Size in bytes and modification time in ns when the header was read.
    """

    name: str
    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    order: Literal["C", "F"]
    state: tuple[int, int]

    def transposed(self) -> "FeatureFile":
        """The same file read with rows and columns exchanged."""
        order: Literal["C", "F"] = "F" if self.order == "C" else "C"
        return replace(self, shape=self.shape[::-1], order=order)

    def read(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Returns snippets in the precision of the file; a slice gives a view that is read lazily.

        Raises:
            UserError: If the file has been removed or changed since its header was read.
        """
        try:
            if file_state(self.path) == self.state:
                # Mapped anew each time: thousands of files must not be open at the same time.
                place = self.offset, self.shape, self.order
                return np.memmap(self.path, self.dtype, "r", *place)[index]
            found = "has changed"
        except (OSError, ValueError) as error:
            found = f"can no longer be read ({getattr(error, 'strerror', None) or error})"
        raise UserError(
            f"{self.path} {found} since it was checked at the start; feature files must not change "
            "while the program runs. Restore the file and start again"
        )


class HeaderCache(Protocol):
    """Headers that were read before; see `dataset.features.check_cache`."""

    def header(self, name: str, path: Path) -> FeatureFile | None: ...

    def add_header(self, file: FeatureFile) -> None: ...


def find_features(
    folder: Path, names: Sequence[str], problems: Problems, cache: HeaderCache | None = None
) -> list[FeatureFile]:
    """Reads the header of `<folder>/<name>.npy` for every name.

    A file whose name has another Unicode form, or differs in the prefix `v_`, is found too; a line
    is printed about the prefix.

    Args:
        folder: Folder with the feature files of a split.
        names: Video names.
        problems: Collects every file that is missing or unusable.
        cache: Headers of files that have not changed since they were read.

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
        files.append(found)
    return files


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
    if array.ndim != 2:
        return f"{path} has shape {array.shape}, wanted 2 dimensions (snippets, channels)"
    if 0 in array.shape:
        return f"{path} is empty: shape {array.shape}, wanted at least one snippet and one channel"
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        return f"{path} holds {array.dtype}, wanted float16, float32 or float64"
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return FeatureFile(name, path, array.shape, array.dtype, array.offset, order, state)


def find_feature_file(name: str, path: Path) -> FeatureFile:
    """Reads and checks the header of one feature file, wherever it is.

    Raises:
        UserError: If it is missing or unusable.
    """
    found = _find_file(name, path, path.resolve().parent)
    if isinstance(found, str):
        raise UserError(found)
    return found


def file_state(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
