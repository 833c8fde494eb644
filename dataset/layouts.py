"""Reads and checks a data directory in any layout of the field."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from dataset.dataset import Dataset, Split, label_matrix
from dataset.features.check_cache import CheckCache
from dataset.features.files import SnippetFile
from dataset.features.reading import map_features, read_features, resident_bytes
from dataset.features.store import Features
from dataset.found_data import find_data
from dataset.timing import SnippetTiming, timing_warning
from utils.errors import Problems
from utils.progress import progress_bar


def read_dataset(
    folder: Path,
    classes: Sequence[str],
    splits: Sequence[str] = ("train", "test"),
    *,
    timing: SnippetTiming,
    workers: int = 4,
    memory_budget: float = math.inf,
    row_type: torch.dtype = torch.float32,
    **options: Any,
) -> Dataset:
    """Reads a data directory and checks every file, with a progress bar.

    Prints the size of the features and whether they are kept in memory, and a warning if they do
    not fit the durations of the videos. Transposed files are read as what they are.

    Args:
        folder: Data directory.
        classes: Class names in index order; none for the labels of the training videos by name.
        splits: Names of the splits to read. The names of the training videos are always read if
            there is a file of them.
        timing: When the snippets of a feature file start.
        workers: Number of threads that read feature files.
        memory_budget: Bytes that the features of all splits together may take in memory; if they
            need more, snippets are read from the files as needed.
        row_type: Type of the snippets of a batch, float32 or bfloat16.
        options: The other options of `find_data`.

    Returns:
        The data, with all tensors on the CPU.

    Raises:
        UserError: With a list of all problems of all files.
    """
    problems = Problems()
    found_data = find_data(folder, classes, splits, problems, timing=timing, **options)
    database, names, files = found_data.database, found_data.names, found_data.files
    cache = found_data.cache
    size = sum(resident_bytes(found, row_type) for found in files.values())
    resident = size <= memory_budget and not problems.messages
    with progress_bar(sum(map(len, files.values())), "file", "reading features") as bar:
        stores = {
            s: _read_store(files[s], resident, workers, problems, bar.update, row_type, cache)
            for s in splits
        }
    problems.raise_if_any(f"data directory {folder}")
    if not resident:  # features in memory are read, and so checked, at every start anyway
        cache.save()

    where = "in memory" if resident else "read from the files as needed"
    if not resident and found_data.layout.in_memory:
        where = (
            "in memory all the same, as they are in one file; python -m dataset.features writes "
            "files that are read as needed"
        )
    print(f"features: {_gib(size)}, {where} (--feature_memory: {_gib(memory_budget)})")
    if warning := timing_warning(found_data.extents(), timing):
        print(f"warning: {warning}")
    read: dict[str, Split] = {}
    for split, (features, fingerprint) in stores.items():
        videos = [database[name] for name in names[split]]
        labels = label_matrix(videos, found_data.classes)
        spans = tuple(video.duration for video in videos) if timing.from_duration else ()
        read[split] = Split(videos, features, labels, fingerprint, spans)
    annotations = found_data.layout.digest()
    return Dataset(found_data.classes, database, read, annotations, found_data.training)


def _read_store(
    files: Sequence[SnippetFile],
    resident: bool,
    workers: int,
    problems: Problems,
    on_file: Callable[[], object],
    row_type: torch.dtype,
    cache: CheckCache,
) -> tuple[Features, dict[str, int | str]]:
    """Reads the features of a split and returns them with their fingerprint."""
    snippets = sum(file.shape[0] for file in files)
    known = cache.digest(files)
    if known and not resident:  # checked before, and not needed in memory
        features: Features = map_features(files, workers, row_type)
        return features, {"videos": len(files), "rows": snippets, "sha256": known}
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.shape[0]}\n".encode())
    before = len(problems.messages)
    features = read_features(files, resident, workers, problems, digest.update, on_file, row_type)
    if len(problems.messages) == before:
        cache.add_digest(files, digest.hexdigest())
    return features, {"videos": len(files), "rows": snippets, "sha256": digest.hexdigest()}


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
