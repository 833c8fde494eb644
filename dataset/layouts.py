"""The data directory in the layout of the ACM-Net download -> checked videos and features.

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
from tqdm import tqdm

from dataset.annotations import Video, read_database, read_split
from dataset.features.files import FeatureFile, find_features
from dataset.features.store import Features, memory_of, read_features
from utils.errors import Problems, UserError, shown

LAYOUT = """wanted this layout:
    train/<video>.npy  features of the training videos, float (snippets, channels)
    test/<video>.npy   features of the test videos
    gt.json            {"database": {video: {"duration", "subset", "annotations"}}}
    split_train.txt    names of the training videos, one a line
    split_test.txt     names of the test videos
The README, "Getting the real data", says where the THUMOS14 features are;
`make demo` writes and uses a demonstration set that needs no download."""


@dataclass(frozen=True)
class Split:
    """The videos of one split, in the order of the split file, and their features.

    Attributes:
        videos: V videos.
        features: rows of the same V videos.
        labels: (V, C) float32, 1 where the class occurs in the video.
        fingerprint: number of videos and rows, and a hash of names and features.
    """

    videos: list[Video]
    features: Features
    labels: Tensor
    fingerprint: dict[str, int | str]

    def to(self, device: torch.device) -> "Split":
        """The same split with its tensors on another device."""
        return replace(self, features=self.features.to(device), labels=self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A checked data directory.

    Attributes:
        classes: names in index order.
        database: every annotated video, those outside the splits included.
        splits: "train" and "test", or those asked for.
        annotations_hash: of gt.json.
    """

    classes: tuple[str, ...]
    database: dict[str, Video]
    splits: dict[str, Split]
    annotations_hash: str

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What tells this data from other data, as plain values."""
        splits = {name: split.fingerprint for name, split in self.splits.items()}
        return {"annotations": self.annotations_hash, **splits}

    @property
    def feature_dim(self) -> int:
        """Channels of a feature row (D)."""
        return next(iter(self.splits.values())).features.width

    def to(self, device: torch.device) -> "Dataset":
        """The same data with its tensors on another device."""
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
    """Reads a data directory, checking every file, with a progress bar.

    Prints whether the features are in memory, and a remark where they do not span the durations,
    which hints at another stride.

    Args:
        folder: the data directory.
        classes: class names in index order.
        splits: which splits to read.
        snippet_seconds: seconds between the starts of neighbouring rows, to compare with the
            durations.
        workers: threads that read feature files.
        memory_budget: bytes that the features of all splits together may take in memory; if they
            need more, rows are read from the files when they are wanted.
        row_type: of the rows that a batch gets, float32 or bfloat16.

    Raises:
        UserError: listing all problems of all files together.
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
    size = sum(memory_of(found, row_type) for found in files.values())
    resident = size <= memory_budget and not problems.messages
    total = sum(map(len, files.values()))
    with tqdm(total=total, desc="reading features", unit="file", disable=not total) as bar:
        stores = {
            s: _read_store(files[s], resident, workers, problems, bar.update, row_type)
            for s in splits
        }
    problems.raise_if_any(f"data directory {folder}")

    where = "in memory" if resident else "read from the files while computing"
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
    unknown: dict[str, list[str]] = {}  # labels, with the videos that have them
    for split, listed in names.items():
        for name in listed:
            if name not in database:
                if database:
                    problems.add(f"split_{split}.txt: {name} is not in gt.json")
                continue
            if split == "train" and not database[name].labels:
                problems.add(f"gt.json: training video {name} has no label; remove it or label it")
            for label in database[name].labels:
                if label not in classes:
                    unknown.setdefault(label, []).append(name)
    for label, bearers in unknown.items():
        near = get_close_matches(label, classes, 1)
        more = f" and {len(bearers) - 1} more" if len(bearers) > 1 else ""
        meant = f"; did you mean {near[0]}?" if near else ""
        problems.add(f"gt.json: {bearers[0]}{more} has the unknown label {shown(label)}{meant}")
    if unknown:
        problems.add(f"known labels are {', '.join(classes)} (config/class_names.py)")
    everywhere = Counter(name for listed in names.values() for name in listed)
    for name, count in everywhere.items():
        if count > 1:
            problems.add(f"{name} is in both split files; a test video must not be trained on")


def _check_widths(files: dict[str, list[FeatureFile]], problems: Problems) -> None:
    """All files must have as many channels as most of them."""
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
    progress: Callable[[], object],
    row_type: torch.dtype,
) -> tuple[Features, dict[str, int | str]]:
    """The features of a split and their fingerprint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path.stem} {file.shape[0]}\n".encode())
    features = read_features(files, resident, workers, problems, digest.update, progress, row_type)
    rows = int(features.lengths.sum())
    return features, {"videos": len(files), "rows": rows, "sha256": digest.hexdigest()}


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"


def _label_matrix(videos: Sequence[Video], classes: Sequence[str]) -> Tensor:
    return torch.tensor(
        [[float(name in video.labels) for name in classes] for video in videos]
    ).reshape(len(videos), len(classes))


def _compare_durations(split: str, data: Split, snippet_seconds: float) -> None:
    """Prints a remark if the features of many videos do not span their durations."""
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
            f"their duration (median {median:.2f} of it at {snippet_seconds:g} s a snippet); "
            "segments will be off in time unless --snippet_frames and --frames_per_second are "
            "those of the features"
        )
