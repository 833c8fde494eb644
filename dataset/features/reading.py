"""Reads the features of a split once: checks every value, then keeps or maps them.

Letters: V videos of a split, N snippets of a video, D channels.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dataset.features.files import SnippetFile
from dataset.features.store import Features, FeatureStore, MappedStore
from utils.errors import Problems

BLOCK_BYTES = 2**24  # size of the blocks in which a file is read


def resident_bytes(files: Sequence[SnippetFile], row_type: torch.dtype) -> int:
    """Bytes of the features of a split in memory, if gathered snippets have this type."""
    values = sum(length * width for length, width in (f.shape for f in files))
    return values * _stored_type(files, row_type).itemsize


def read_features(
    files: Sequence[SnippetFile],
    resident: bool,
    workers: int,
    problems: Problems,
    on_block: Callable[[memoryview], object],
    on_file: Callable[[], object],
    row_type: torch.dtype = torch.float32,
) -> Features:
    """Reads all features of a split once and checks every value, a few blocks at a time.

    Args:
        files: Feature files of the V videos, in order; of equal width if `resident`.
        resident: Whether the features are kept in memory.
        workers: Number of threads that read; the result does not depend on it.
        problems: Collects every file with values that are not finite.
        on_block: Is called with all snippets in order, (n, D) at a time; float16 if all files are,
            else float32.
        on_file: Is called once per file, for a progress bar.
        row_type: Type of gathered snippets, float32 or bfloat16. Resident features are stored in
            bfloat16, too.

    Returns:
        A `FeatureStore` on the CPU if `resident`, else a `MappedStore`.
    """
    file_type = _file_type(files)
    lengths = torch.tensor([file.shape[0] for file in files], dtype=torch.int64)
    first = lengths.cumsum(0) - lengths
    stored = None
    if resident:
        shape = (int(lengths.sum()), files[0].shape[1])
        stored = torch.empty(shape, dtype=_stored_type(files, row_type))

    def read(number: int, start: int, stop: int) -> tuple[NDArray[np.floating], str]:
        file, begin = files[number], int(first[number])
        if stored is not None and row_type != torch.bfloat16:
            block: NDArray[np.floating] = stored[begin + start : begin + stop].numpy()
            return block, _fill(block, file, start)
        block = np.empty((stop - start, file.shape[1]), file_type)
        problem = _fill(block, file, start)
        if stored is not None:  # in bfloat16, which numpy does not have
            stored[begin + start : begin + stop] = torch.from_numpy(block)
        return block, problem

    bad: dict[int, str] = {}  # the first problem of each file
    with ThreadPoolExecutor(workers) as pool:
        results = _in_order(pool, read, _blocks(files), 2 * workers)
        for (number, _, stop), (block, problem) in results:
            on_block(block.data)
            if problem:
                bad.setdefault(number, problem)
            if stop == files[number].shape[0]:
                on_file()
    for message in bad.values():
        problems.add(message)
    if stored is None:
        return map_features(files, workers, row_type)
    return FeatureStore(stored, first, lengths, row_type)


def map_features(
    files: Sequence[SnippetFile], workers: int, row_type: torch.dtype = torch.float32
) -> MappedStore:
    """The features of checked files, read as needed; arguments as for `read_features`."""
    lengths = torch.tensor([file.shape[0] for file in files], dtype=torch.int64)
    dtype = _stored_type(files, torch.float32)
    return MappedStore(files, dtype, lengths, workers, torch.device("cpu"), row_type)


def _file_type(files: Sequence[SnippetFile]) -> np.dtype[Any]:
    """Type in which the files of a split are read: float16 only if all files are."""
    return np.dtype(np.float16 if all(f.dtype.itemsize == 2 for f in files) else np.float32)


def _stored_type(files: Sequence[SnippetFile], row_type: torch.dtype) -> torch.dtype:
    """Type of the features in memory, if gathered snippets have type `row_type`."""
    if row_type == torch.bfloat16:
        return row_type
    return torch.float16 if _file_type(files) == np.float16 else torch.float32


def _blocks(files: Sequence[SnippetFile]) -> Iterator[tuple[int, int, int]]:
    """Yields the blocks of all files in order: number of the file, first snippet, end."""
    for number, file in enumerate(files):
        count = max(1, BLOCK_BYTES // (file.shape[1] * file.dtype.itemsize))
        for start in range(0, file.shape[0], count):
            yield number, start, min(start + count, file.shape[0])


def _fill(block: NDArray[np.floating], file: SnippetFile, start: int) -> str:
    """Reads the snippets from `start` on into the block; returns a message for a bad value."""
    with np.errstate(all="ignore"):  # an overflow becomes infinite, which is reported
        block[...] = file.read(slice(start, start + len(block)))
    finite = np.isfinite(block).all(axis=1)
    if finite.all():
        return ""
    snippet = start + int(finite.argmin())
    return (
        f"{file.path} has NaN or infinite values, first in snippet {snippet}; "
        "extract the features again"
    )


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[..., Any], tasks: Iterator[Any], ahead: int
) -> Iterator[tuple[Any, Any]]:
    """Yields every task with its result, like `pool.map`, with at most `ahead` results waiting."""
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    for task in tasks:
        waiting.append((task, pool.submit(work, *task)))
        if len(waiting) > ahead:
            done, future = waiting.popleft()
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()
