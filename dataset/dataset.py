"""A data directory in memory: its classes, annotations and splits with their features.

Letters: V videos of a split, C action classes, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dataset.features.store import Features
from dataset.videos import Video


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


def label_matrix(videos: Sequence[Video], classes: Sequence[str]) -> Tensor:
    """(V, C) float32, 1 where the class occurs in the video."""
    index = {name: number for number, name in enumerate(classes)}
    matrix = torch.zeros(len(videos), len(classes))
    for row, video in enumerate(videos):
        matrix[row, [index[label] for label in video.labels if label in index]] = 1
    return matrix
