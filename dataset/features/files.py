"""Feature files, <video>.npy: where their rows are.

Letters: N rows of a video, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from utils.errors import Problems, UserError


@dataclass(frozen=True)
class FeatureFile:
    """Where the rows of a video are in its .npy file.

    Attributes:
        path: of the file.
        shape: (N, D).
        dtype: float16, float32 or float64, of either byte order.
        offset: bytes before the first row.
        order: "C" for row after row, "F" for column after column.
        state: size and time of the last change when the file was looked at.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    order: Literal["C", "F"]
    state: tuple[int, int]

    def rows(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Rows as they are in the file; with a slice, a view that is read when it is used.

        Raises:
            UserError: if the file is not there any more or not as it was.
        """
        try:
            if _state(self.path) == self.state:
                # Mapped anew each time: thousands of files must not be open together.
                place = self.offset, self.shape, self.order
                return np.memmap(self.path, self.dtype, "r", *place)[index]
            found = "has changed"
        except (OSError, ValueError) as error:
            found = f"cannot be read any more ({getattr(error, 'strerror', None) or error})"
        raise UserError(
            f"{self.path} {found} since it was checked at the start; feature files must stay as "
            "they are while the program runs. Put it back, and start again"
        )


def find_features(folder: Path, names: Sequence[str], problems: Problems) -> list[FeatureFile]:
    """Looks at the head of `<folder>/<name>.npy` for every name.

    Args:
        folder: one split of the data directory.
        names: video names.
        problems: is told of every file that is missing or unusable.

    Returns:
        Those without a problem, in order.
    """
    # Not in threads: when several parse headers at the same time, Python 3.11 now and then fails.
    results = [_find_file(folder / f"{name}.npy", folder) for name in names]
    for result in results:
        if isinstance(result, str):
            problems.add(result)
    return [result for result in results if not isinstance(result, str)]


def _find_file(path: Path, folder: Path) -> FeatureFile | str:
    """Where the rows of a file are, or what is wrong with its head."""
    if not path.is_file():
        return f"{path} does not exist; every video of the split needs its feature file"
    if folder.resolve() not in path.resolve().parents:
        return f"{path} is a link that leads out of {folder}; put the file itself there"
    try:
        state = _state(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError:
        return f"{path} cannot be read: permission denied"
    except Exception:  # numpy and the parsers below it raise many kinds for a damaged file
        return (
            f"{path} is not a whole .npy array of numbers (cut off, another format, "
            "or Python objects); copy it again"
        )
    if not isinstance(array, np.memmap):
        return f"{path} is an .npz archive, wanted one .npy array"
    if array.ndim != 2:
        return f"{path} has shape {array.shape}, wanted 2 dimensions (snippets, channels)"
    if 0 in array.shape:
        return f"{path} is empty: shape {array.shape}, wanted at least one row and one channel"
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        return f"{path} holds {array.dtype}, wanted float16, float32 or float64"
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return FeatureFile(path, array.shape, array.dtype, array.offset, order, state)


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
