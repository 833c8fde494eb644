"""Reads and checks a data directory.

THUMOS14, as the ACM-Net download: train/<video>.npy test/<video>.npy gt.json split_train.txt
split_test.txt. ActivityNet: features/<video>.npy gt.json, and the subsets of gt.json as splits.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.annotations import database_of
from dataset.checks import check_durations, check_names, check_widths
from dataset.classes import BUILT_IN, Classes, classes_line, training_classes, unlabelled_warning
from dataset.feature_layouts import Layout, open_layout
from dataset.features.check_cache import CheckCache
from dataset.features.files import PLAIN, FeatureForm, SnippetFile
from dataset.features.reading import map_features, read_features, resident_bytes
from dataset.features.store import Features
from dataset.labels import LabelReader
from dataset.splits import read_blocked, split_names, without
from dataset.timing import Extent, SnippetTiming, are_transposed, timing_warning
from dataset.videos import Video
from utils.errors import Problems, UserError
from utils.progress import progress_bar

SUBSETS = {"train": "train", "test": "test"}
LAYOUT = """wanted this layout:
    train/<video>.npy  features of the training videos, float (snippets, channels)
    test/<video>.npy   features of the test videos
    gt.json            {"database": {video: {"duration", "subset", "annotations"}}}
    split_train.txt    names of the training videos, one per line
    split_test.txt     names of the test videos
or all feature files in features/, and without split files the subsets of gt.json as splits;
docs/FORMATS.md lists the layouts of other repositories.
The README, section "Data", says where to find the THUMOS14 features;
`make demo` creates and uses a demonstration data set; no download needed."""


@dataclass(frozen=True)
class Split:
    """The V videos of one split, in the order of the split file, and their features.

    Attributes:
        videos: Annotations of the videos.
        features: Features of the videos.
        labels: (V, C) float32, 1 where the class occurs in the video.
        fingerprint: Number of videos, number of snippets ("rows"), hash of names and features.
        spans: Time over which the snippets of each video are spread, in seconds; empty if the
            stride of the settings gives their times.
    """

    videos: list[Video]
    features: Features
    labels: Tensor
    fingerprint: dict[str, int | str]
    spans: tuple[float | None, ...] = ()

    def to(self, device: torch.device) -> "Split":
        """Returns the same split with its tensors on another device."""
        return replace(self, features=self.features.to(device), labels=self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A checked data directory.

    Attributes:
        classes: Class names in index order.
        database: All annotated videos by name, including those outside the splits.
        splits: The splits by name, "train" and "test".
        annotations_hash: SHA-256 of gt.json.
        training: Names of the training videos, even if their features were not read.
    """

    classes: tuple[str, ...]
    database: dict[str, Video]
    splits: dict[str, Split]
    annotations_hash: str
    training: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Hashes and sizes that identify the data, as plain values."""
        splits = {name: split.fingerprint for name, split in self.splits.items()}
        return {"annotations": self.annotations_hash, **splits}

    @property
    def feature_dim(self) -> int:
        """Channels of a snippet (D)."""
        return next(iter(self.splits.values())).features.feature_dim

    def to(self, device: torch.device) -> "Dataset":
        """Returns the same data with its tensors on another device."""
        splits = {name: split.to(device) for name, split in self.splits.items()}
        return replace(self, splits=splits)


@dataclass(frozen=True)
class FoundData:
    """A data directory of which the annotations and the headers of the feature files were read.

    Attributes:
        classes: Class names in index order.
        database: All annotated videos by name.
        names: Names of the videos of each split that is read.
        training: Names of the training videos, even if their features are not read.
        layout: Where annotations and features are.
        files: Feature files of each split that is read.
        cache: Which files have been checked before.
    """

    classes: tuple[str, ...]
    database: dict[str, Video]
    names: dict[str, list[str]]
    training: frozenset[str]
    layout: Layout
    files: dict[str, Sequence[SnippetFile]]
    cache: CheckCache

    def extents(self) -> list[Extent]:
        """The lengths of all videos with a known duration."""
        return [
            Extent(f"{split}/{file.name}", file.shape[0], duration, file.shape[1])
            for split, found in self.files.items()
            for file in found
            if file.name in self.database and (duration := self.database[file.name].duration)
        ]


def find_data(
    folder: Path,
    classes: Sequence[str],
    splits: Sequence[str],
    problems: Problems,
    *,
    timing: SnippetTiming,
    classes_from: str = BUILT_IN,
    label_reader: LabelReader | None = None,
    strict: bool = False,
    subsets: Mapping[str, str] = SUBSETS,
    blocked_videos: str = "",
    layout: str = "auto",
    form: FeatureForm = PLAIN,
) -> FoundData:
    """Reads what a data directory contains and checks it, except for the values of the features.

    Args:
        folder: Data directory.
        classes: Class names; the other arguments as for `read_dataset`.
        splits: Names of the splits to read.
        problems: Collects what is wrong.
        timing: When the snippets of a feature file start.
        classes_from: Source of the class names.
        label_reader: How the labels of gt.json become class names.
        strict: Whether invalid times and durations in gt.json are problems.
        subsets: Subset of gt.json that is each split if there is no split file.
        blocked_videos: File with names of videos to leave out.
        layout: Where annotations and features are, see `feature_layouts.LAYOUTS`.
        form: How feature arrays are read.

    Raises:
        UserError: If there is no such folder, or if its layout is not clear.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"data directory {folder} {problem}; {LAYOUT}")
    source = open_layout(folder, layout, form, subsets)
    database, names, training = _read_texts(
        folder, source, splits, subsets, blocked_videos, label_reader, strict, problems
    )
    if not classes:
        classes = training_classes(database, training, problems)
    if classes_from != BUILT_IN and classes:
        print(classes_line(Classes(tuple(classes), classes_from)))
        if "train" in splits and (
            warning := unlabelled_warning(classes, [database[n] for n in training if n in database])
        ):
            print(warning)
    check_names(names, database, classes, training, problems, classes_from)
    cache = CheckCache(folder)
    files = {s: source.files(s, names[s], problems, cache) for s in splits}
    files = _as_snippets(files, database, timing)
    check_widths(files, problems)
    if timing.from_duration:
        check_durations(names, database, problems)
    return FoundData(tuple(classes), database, names, training, source, files, cache)


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


def _read_texts(
    folder: Path,
    source: Layout,
    splits: Sequence[str],
    subsets: Mapping[str, str],
    blocked_videos: str,
    label_reader: LabelReader | None,
    strict: bool,
    problems: Problems,
) -> tuple[dict[str, Video], dict[str, list[str]], frozenset[str]]:
    """Reads the annotations, the names of each split and those of the training videos."""
    annotated: dict[str, Video] = {}
    blocked: frozenset[str] = frozenset()
    with problems.collect():
        entries, note = source.entries()
        if note:
            print(note)
        annotated = database_of(entries, source.annotations, label_reader, strict=strict)
        blocked = read_blocked(blocked_videos, annotated)
    names: dict[str, list[str]] = {}
    for split in dict.fromkeys(["train", *splits]):
        listed = (folder / f"split_{split}.txt").exists()
        if listed or (split in splits and annotated):
            with problems.collect():
                found = split_names(
                    folder,
                    split,
                    subsets[split],
                    annotated,
                    source.present(split),
                    source.annotations.name,
                )
                names[split] = without(found, blocked)
    database = {name: video for name, video in annotated.items() if name not in blocked}
    training = frozenset(names.get("train", ()))
    return database, {split: names.get(split, []) for split in splits}, training


def _as_snippets(
    files: dict[str, Sequence[SnippetFile]], database: dict[str, Video], timing: SnippetTiming
) -> dict[str, Sequence[SnippetFile]]:
    """The same files, with rows and columns exchanged if they are transposed."""
    every = [file for found in files.values() for file in found]
    durations = [database[f.name].duration if f.name in database else None for f in every]
    if not are_transposed([file.shape for file in every], durations, timing):
        return files
    channels, snippets = every[0].shape
    print(
        f"warning: the feature files are transposed: all have {channels} rows, and columns that "
        f"fit the durations of the videos ({every[0].path.name}: {snippets} columns); they are "
        "read as (snippets, channels)"
    )
    return {split: [file.transposed() for file in found] for split, found in files.items()}


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


def label_matrix(videos: Sequence[Video], classes: Sequence[str]) -> Tensor:
    """(V, C) float32, 1 where the class occurs in the video."""
    index = {name: number for number, name in enumerate(classes)}
    matrix = torch.zeros(len(videos), len(classes))
    for row, video in enumerate(videos):
        matrix[row, [index[label] for label in video.labels if label in index]] = 1
    return matrix
