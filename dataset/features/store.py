"""Snippet features: checks the files of a split, keeps their rows in memory or maps the files.

    python -m dataset.features --input DIR --output DIR --to float16

writes a copy of a data directory with features of half the size (see `dataset.features.conversion`).

Letters: V videos, R rows of all of them together, D channels, B videos of a batch, T sampled rows.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.features.files import FeatureFile
from utils.errors import Problems

BLOCK_BYTES = 2**24  # of one file are in memory at a time while it is checked


@dataclass(frozen=True)
class FeatureStore:
    """The rows of all videos of a split, one after the other.

    Attributes:
        rows: (R, D) float16 or float32, as in the files, or bfloat16; on the device.
        first: (V,) int64, where the rows of each video begin; on the device.
        lengths: (V,) int64, rows of each video (N); on the CPU.
        row_type: of gathered rows, float32 or bfloat16.
    """

    rows: Tensor
    first: Tensor
    lengths: Tensor
    row_type: torch.dtype = torch.float32

    @property
    def width(self) -> int:
        """Channels of a row (D)."""
        return self.rows.shape[1]

    def to(self, device: torch.device) -> "FeatureStore":
        """The same rows on another device."""
        return replace(self, rows=self.rows.to(device), first=self.first.to(device))

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        """The chosen rows of the chosen videos.

        Args:
            videos: (B,) int64, on the device.
            rows: (B, T) int64, rows within each video, on the device.

        Returns:
            (B, T, D) of `row_type`.
        """
        return self.rows[self.first[videos][:, None] + rows].to(self.row_type)


@dataclass(frozen=True)
class MappedStore:
    """The same rows as a `FeatureStore`, read from the files when they are wanted.

    Attributes:
        files: of V videos.
        kind: float16 if all files are, else float32.
        lengths: (V,) int64, rows of each video (N); on the CPU.
        workers: threads that read.
        device: where gathered rows shall be.
        row_type: of gathered rows, float32 or bfloat16.
    """

    files: Sequence[FeatureFile]
    kind: torch.dtype
    lengths: Tensor
    workers: int
    device: torch.device
    row_type: torch.dtype = torch.float32

    @property
    def width(self) -> int:
        """Channels of a row (D)."""
        return self.files[0].shape[1]

    def to(self, device: torch.device) -> "MappedStore":
        """The same rows, gathered onto another device."""
        return replace(self, device=device)

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        """Does what `FeatureStore.gather` does, reading no more than these rows.

        The indices come to the CPU, for which it waits until the device has done its work. A row
        that is wanted again comes from the cache of the system.

        Raises:
            UserError: if a file is not there any more or not as it was when it was checked.
        """
        shape = (*rows.shape, self.width)
        # Page-locked memory goes to a device without a further copy on the way.
        found = torch.empty(shape, dtype=self.kind, pin_memory=self.device.type != "cpu")

        def read(block: NDArray[Any], video: int, wanted: NDArray[np.int64]) -> None:
            block[...] = self.files[video].rows(wanted)

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(read, found.numpy(), videos.tolist(), rows.cpu().numpy()))
        return found.to(self.device, non_blocking=True).to(self.row_type)


Features: TypeAlias = FeatureStore | MappedStore


def memory_of(files: Sequence[FeatureFile], row_type: torch.dtype) -> int:
    """Bytes of the rows of a split in memory, if they are gathered as this type."""
    values = sum(rows * width for rows, width in (f.shape for f in files))
    return values * _kept_type(files, row_type).itemsize


def read_features(
    files: Sequence[FeatureFile],
    resident: bool,
    workers: int,
    problems: Problems,
    seen: Callable[[memoryview], object],
    progress: Callable[[], object],
    row_type: torch.dtype = torch.float32,
) -> Features:
    """Reads all rows of a split once and checks every value, a few blocks of rows at a time.

    Args:
        files: of the videos, in order; of one width if the rows are kept.
        resident: whether the rows are kept in memory.
        workers: threads that read; they change nothing but the time.
        problems: is told of every file with values that are not finite.
        seen: is called with all rows, (n, D) at a time, in order; float16 if all files are, else
            float32.
        progress: is called once a file.
        row_type: of gathered rows, float32 or bfloat16; as bfloat16 they are kept so, too.
    """
    kind = _kind(files)
    lengths = torch.tensor([file.shape[0] for file in files], dtype=torch.int64)
    first = lengths.cumsum(0) - lengths
    kept = None
    if resident:
        size = (int(lengths.sum()), files[0].shape[1])
        kept = torch.empty(size, dtype=_kept_type(files, row_type))

    def read(number: int, start: int, stop: int) -> tuple[NDArray[np.floating], str]:
        file, begin = files[number], int(first[number])
        if kept is not None and row_type != torch.bfloat16:
            block: NDArray[np.floating] = kept[begin + start : begin + stop].numpy()
            return block, _fill(block, file, start)
        block = np.empty((stop - start, file.shape[1]), kind)
        problem = _fill(block, file, start)
        if kept is not None:  # in bfloat16, which numpy does not have
            kept[begin + start : begin + stop] = torch.from_numpy(block)
        return block, problem

    bad: dict[int, str] = {}  # the first problem of each file
    with ThreadPoolExecutor(workers) as pool:
        results = _in_order(pool, read, _blocks(files), 2 * workers)
        for (number, _, stop), (block, problem) in results:
            seen(block.data)
            if problem:
                bad.setdefault(number, problem)
            if stop == files[number].shape[0]:
                progress()
    for message in bad.values():
        problems.add(message)
    if kept is None:
        dtype = _kept_type(files, torch.float32)
        return MappedStore(files, dtype, lengths, workers, torch.device("cpu"), row_type)
    return FeatureStore(kept, first, lengths, row_type)


def _kind(files: Sequence[FeatureFile]) -> np.dtype[Any]:
    """Of the rows of a split as they are read: float16 only if all files are."""
    return np.dtype(np.float16 if all(f.dtype.itemsize == 2 for f in files) else np.float32)


def _kept_type(files: Sequence[FeatureFile], row_type: torch.dtype) -> torch.dtype:
    """Of the rows of a split in memory, if they are gathered as `row_type`."""
    if row_type == torch.bfloat16:
        return row_type
    return torch.float16 if _kind(files) == np.float16 else torch.float32


def _blocks(files: Sequence[FeatureFile]) -> Iterator[tuple[int, int, int]]:
    """Number of a file, start and stop of some of its rows; all rows of all files, in order."""
    for number, file in enumerate(files):
        count = max(1, BLOCK_BYTES // (file.shape[1] * file.dtype.itemsize))
        for start in range(0, file.shape[0], count):
            yield number, start, min(start + count, file.shape[0])


def _fill(block: NDArray[np.floating], file: FeatureFile, start: int) -> str:
    """Reads rows from `start` on into the block; returns what is wrong with them, or ""."""
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, which is reported
        block[...] = file.rows(slice(start, start + len(block)))
    finite = np.isfinite(block).all(axis=1)
    if finite.all():
        return ""
    row = start + int(finite.argmin())
    return f"{file.path} has NaN or infinite values, first in row {row}; extract the features again"


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[..., Any], tasks: Iterator[Any], ahead: int
) -> Iterator[tuple[Any, Any]]:
    """Every task with its result, as `pool.map`, but with few results waiting to be taken."""
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    for task in tasks:
        waiting.append((task, pool.submit(work, *task)))
        if len(waiting) > ahead:
            done, future = waiting.popleft()
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()
