"""Snippet features: reads the files of a split, checks them and keeps their rows together.

Letters: V videos, R rows of all of them together, D channels, B videos of a batch, T sampled rows.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utils.errors import Problems

Rows = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True)
class FeatureStore:
    """The rows of all videos of a split, one after the other.

    Attributes:
        rows: (R, D) float16 or float32, as in the files, on the device.
        first: (V,) int64, where the rows of each video begin; on the device.
        lengths: (V,) int64, rows of each video (N); on the CPU.
    """

    rows: Tensor
    first: Tensor
    lengths: Tensor

    @property
    def width(self) -> int:
        """Channels of a row (D)."""
        return self.rows.shape[1]

    def to(self, device: torch.device) -> "FeatureStore":
        """The same rows on another device."""
        return FeatureStore(self.rows.to(device), self.first.to(device), self.lengths)

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        """The chosen rows of the chosen videos.

        Args:
            videos: (B,) int64, on the device.
            rows: (B, T) int64, rows within each video, on the device.

        Returns:
            (B, T, D) float32.
        """
        return self.rows[self.first[videos][:, None] + rows].float()


def read_features(
    folder: Path,
    names: Sequence[str],
    workers: int,
    problems: Problems,
    progress: Callable[[], object],
) -> list[Rows | None]:
    """Reads and checks `<folder>/<name>.npy` for every name.

    Args:
        folder: one split of the data directory.
        names: video names.
        workers: threads that read; they change nothing but the time.
        problems: is told of every file that is missing or unusable.
        progress: is called once a file.

    Returns:
        Per name the array (N, D), float16 if the file is, else float32; None where there was a
        problem.
    """

    def read(name: str) -> Rows | str:
        result = _read_file(folder / f"{name}.npy", folder)
        progress()
        return result

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(read, names))
    for result in results:
        if isinstance(result, str):
            problems.add(result)
    return [None if isinstance(result, str) else result for result in results]


def join_features(arrays: list[Rows]) -> FeatureStore:
    """Puts the rows of all videos into one tensor; float16 only if all files are.

    Args:
        arrays: per video (N, D); the list is emptied, so that the rows are not held twice.
    """
    lengths = torch.tensor([len(array) for array in arrays])
    half = all(array.dtype == np.float16 for array in arrays)
    rows = torch.empty(
        int(lengths.sum()), arrays[0].shape[1], dtype=torch.float16 if half else torch.float32
    )
    first = lengths.cumsum(0) - lengths
    for start in reversed(first.tolist()):
        array = arrays.pop()
        rows[start : start + len(array)] = torch.from_numpy(array)
    return FeatureStore(rows, first, lengths)


def _load(path: Path) -> Any:
    """What `np.load` gives, which may be no array.

    When threads parse headers at the same time, Python 3.11 now and then raises a SystemError ("AST
    constructor recursion depth mismatch"), which says nothing about the file: it is read again.
    """
    for _ in range(5):
        with suppress(SystemError):
            return np.load(path, allow_pickle=False)
    return np.load(path, allow_pickle=False)


def _read_file(path: Path, folder: Path) -> Rows | str:
    """The checked array of one file, or what is wrong with it."""
    if not path.is_file():
        return f"{path} does not exist; every video of the split needs its feature file"
    if folder.resolve() not in path.resolve().parents:
        return f"{path} is a link that leads out of {folder}; put the file itself there"
    try:
        array = _load(path)
    except PermissionError:
        return f"{path} cannot be read: permission denied"
    except Exception:  # numpy and the parsers below it raise many kinds for a damaged file
        return (
            f"{path} is not a whole .npy array of numbers (cut off, another format, "
            "or Python objects); copy it again"
        )
    if not isinstance(array, np.ndarray):
        return f"{path} is an .npz archive, wanted one .npy array"
    if array.ndim != 2:
        return f"{path} has shape {array.shape}, wanted 2 dimensions (snippets, channels)"
    if 0 in array.shape:
        return f"{path} is empty: shape {array.shape}, wanted at least one row and one channel"
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        return f"{path} holds {array.dtype}, wanted float16, float32 or float64"
    kind = np.float16 if array.dtype.itemsize == 2 else np.float32
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, which is reported below
        array = np.ascontiguousarray(array, dtype=kind)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        return f"{path} has NaN or infinite values, first in row {row}; extract the features again"
    return array
