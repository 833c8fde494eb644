"""Reads and checks a data directory in the layout of the ACM-Net download.

train/<video>.npy  test/<video>.npy  gt.json  split_train.txt  split_test.txt
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.annotations import Video, read_database, read_split
from dataset.features.files import FeatureFile, find_features
from dataset.features.reading import read_features, resident_bytes
from dataset.features.store import Features
from utils.errors import Problems, UserError, shown
from utils.progress import progress_bar

LAYOUT = """wanted this layout:
    train/<video>.npy  features of the training videos, float (snippets, channels)
    test/<video>.npy   features of the test videos
    gt.json            {"database": {video: {"duration", "subset", "annotations"}}}
    split_train.txt    names of the training videos, one per line
    split_test.txt     names of the test videos
The README, "Getting the real data", says where to find the THUMOS14 features;
`make demo` creates and uses a demonstration data set, without a download."""


@dataclass(frozen=True)
class Split:
    """The V videos of one split, in the order of the split file, and their features.

    Attributes:
        videos: Annotations of the videos.
        features: Features of the videos.
        labels: (V, C) float32, 1 where the class occurs in the video.
        fingerprint: Number of videos, number of snippets ("rows"), hash of names and features.
    """

    videos: list[Video]
    features: Features
    labels: Tensor
    fingerprint: dict[str, int | str]

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
    """

    classes: tuple[str, ...]
    database: dict[str, Video]
    splits: dict[str, Split]
    annotations_hash: str

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


def read_dataset(
    folder: Path,
    classes: Sequence[str],
    splits: Sequence[str] = ("train", "test"),
    *,
    snippet_seconds: float,
    workers: int = 4,
    memory_budget: float = math.inf,
    row_type: torch.dtype = torch.float32,
) -> Dataset:
    """Reads a data directory and checks every file, with a progress bar.

    Prints the size of the features and whether they are kept in memory, and a warning if they do
    not span the durations of the videos, which suggests another stride.

    Args:
        folder: Data directory.
        classes: Class names in index order.
        splits: Names of the splits to read.
        snippet_seconds: Seconds between the starts of consecutive snippets, to compare the
            features with the durations.
        workers: Number of threads that read feature files.
        memory_budget: Bytes that the features of all splits together may take in memory; if they
            need more, snippets are read from the files as needed.
        row_type: Type of the snippets of a batch, float32 or bfloat16.

    Returns:
        The data, with all tensors on the CPU.

    Raises:
        UserError: With a list of all problems of all files.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"data directory {folder} {problem}; {LAYOUT}")
    problems = Problems()
    database: dict[str, Video] = {}
    names: dict[str, list[str]] = {split: [] for split in splits}
    with problems.collect():
        database = read_database(folder / "gt.json")
    for split in splits:
        with problems.collect():
            names[split] = read_split(folder / f"split_{split}.txt")
    _check_names(names, database, classes, problems)
    files = {s: find_features(folder / s, names[s], problems) for s in splits}
    _check_widths(files, problems)
    size = sum(resident_bytes(found, row_type) for found in files.values())
    resident = size <= memory_budget and not problems.messages
    with progress_bar(sum(map(len, files.values())), "file", "reading features") as bar:
        stores = {
            s: _read_store(files[s], resident, workers, problems, bar.update, row_type)
            for s in splits
        }
    problems.raise_if_any(f"data directory {folder}")

    where = "in memory" if resident else "read from the files as needed"
    print(f"features: {_gib(size)}, {where} (--feature_memory: {_gib(memory_budget)})")
    read: dict[str, Split] = {}
    for split, (features, fingerprint) in stores.items():
        videos = [database[name] for name in names[split]]
        read[split] = Split(videos, features, _label_matrix(videos, classes), fingerprint)
        _compare_durations(split, read[split], snippet_seconds)
    annotations = hashlib.sha256((folder / "gt.json").read_bytes()).hexdigest()
    return Dataset(tuple(classes), database, read, annotations)


def _check_names(
    names: dict[str, list[str]],
    database: dict[str, Video],
    classes: Sequence[str],
    problems: Problems,
) -> None:
    unknown: dict[str, list[str]] = {}  # unknown label -> videos that have it
    for split, listed in names.items():
        for name in listed:
            if name not in database:
                if database:
                    problems.add(f"split_{split}.txt: {name} is not in gt.json")
                continue
            if split == "train" and not database[name].labels:
                problems.add(f"gt.json: training video {name} has no label; label or remove it")
            for label in database[name].labels:
                if label not in classes:
                    unknown.setdefault(label, []).append(name)
    for label, videos in unknown.items():
        near = get_close_matches(label, classes, 1)
        which = f"{videos[0]} and {len(videos) - 1} more have" if videos[1:] else f"{videos[0]} has"
        meant = f"; did you mean {near[0]}?" if near else ""
        problems.add(f"gt.json: {which} the unknown label {shown(label)}{meant}")
    if unknown:
        problems.add(f"known labels are {', '.join(classes)} (config/datasets.py)")
    everywhere = Counter(name for listed in names.values() for name in listed)
    for name, count in everywhere.items():
        if count > 1:
            problems.add(
                f"{name} is in both split files; test videos must not be used for training"
            )


def _check_widths(files: dict[str, list[FeatureFile]], problems: Problems) -> None:
    """Adds a problem for every file whose number of channels differs from that of most files."""
    width_of = {
        f"{split}/{file.path.name}": file.shape[1]
        for split, found in files.items()
        for file in found
    }
    if not width_of:
        return
    common = Counter(width_of.values()).most_common(1)[0][0]
    for file, width in width_of.items():
        if width != common:
            problems.add(f"{file} has {width} channels, the other files have {common}")


def _read_store(
    files: Sequence[FeatureFile],
    resident: bool,
    workers: int,
    problems: Problems,
    on_file: Callable[[], object],
    row_type: torch.dtype,
) -> tuple[Features, dict[str, int | str]]:
    """Reads the features of a split and returns them with their fingerprint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path.stem} {file.shape[0]}\n".encode())
    features = read_features(files, resident, workers, problems, digest.update, on_file, row_type)
    snippets = int(features.lengths.sum())
    return features, {"videos": len(files), "rows": snippets, "sha256": digest.hexdigest()}


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"


def _label_matrix(videos: Sequence[Video], classes: Sequence[str]) -> Tensor:
    return torch.tensor(
        [[float(name in video.labels) for name in classes] for video in videos]
    ).reshape(len(videos), len(classes))


def _compare_durations(split: str, data: Split, snippet_seconds: float) -> None:
    """Prints a warning if the features of many videos do not span their durations."""
    ratios = [
        length * snippet_seconds / video.duration
        for video, length in zip(data.videos, data.features.lengths.tolist(), strict=True)
        if video.duration
    ]
    odd = [ratio for ratio in ratios if not 0.8 < ratio < 1.25]
    if len(odd) * 10 > len(ratios):
        median = sorted(ratios)[len(ratios) // 2]
        print(
            f"warning: the features of {len(odd)} of {len(ratios)} {split} videos do not span "
            f"their duration (median ratio {median:.2f} at {snippet_seconds:g} s per snippet); "
            "segment times will be wrong unless --snippet_frames and --frames_per_second match the "
            "features"
        )
