"""Batches as lists of indices.

Letters: V videos of a split, B videos of a batch, T sampled rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from dataset.sampling import random_rows


class Batch(NamedTuple):
    """Which rows of which videos make a step.

    Attributes:
        videos: (B,) int64, index into the split.
        rows: (B, T) int64, rows within each video.
    """

    videos: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same indices on another device."""
        return Batch(self.videos.to(device), self.rows.to(device))


class VideoBatches:
    """All videos once an epoch, in a new order and with newly drawn rows each time.

    Args:
        lengths: (V,) int64, rows of every video.
        num_snippets: T.
        batch_size: B; the last batch of an epoch may be smaller.
        generator: everything is drawn from it.
        device: where the indices shall be; they move there once an epoch.
    """

    def __init__(
        self,
        lengths: Tensor,
        num_snippets: int,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.lengths = lengths
        self.num_snippets = num_snippets
        self.batch_size = batch_size
        self.generator = generator
        self.device = device

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.lengths), generator=self.generator)
        rows = random_rows(self.lengths[order], self.num_snippets, self.generator)
        epoch = Batch(order, rows).to(self.device)
        for start in range(0, len(order), self.batch_size):
            stop = start + self.batch_size
            yield Batch(epoch.videos[start:stop], epoch.rows[start:stop])
