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
        unit: videos that belong together: 1, or 2 in pairs (all first ones, then all second ones).
        weight: 0 for a stand-in that must not count, else 1.
    """

    videos: Tensor
    rows: Tensor
    unit: int = 1
    weight: float = 1.0

    def to(self, device: torch.device) -> "Batch":
        """The same indices on another device."""
        return self._replace(videos=self.videos.to(device), rows=self.rows.to(device))

    def share(self, rank: int, count: int) -> "Batch":
        """The share of one of `count` processes: whole units, as evenly as they go.

        A process for which none is left gets the first one with weight 0, so that it takes the
        same steps as the others.
        """
        units = len(self.videos) // self.unit
        start, stop = rank * units // count, (rank + 1) * units // count
        weight = self.weight if start < stop else 0.0
        chosen = slice(start, stop) if start < stop else slice(1)

        def own(index: Tensor) -> Tensor:
            return index.unflatten(0, (self.unit, units))[:, chosen].flatten(0, 1)

        return Batch(own(self.videos), own(self.rows), self.unit, weight)


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
