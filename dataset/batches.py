"""Batches as index lists: which snippets of which videos form a training step.

Letters: V videos of a split, B videos of a batch, T sampled snippets.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from dataset.sampling import random_rows


class Batch(NamedTuple):
    """The sampled snippets of a training step, as indices.

    Attributes:
        videos: (B,) int64, indices into the split.
        rows: (B, T) int64, indices of the sampled snippets within each video.
        unit: Number of videos that belong together: 1, or 2 for pairs. A batch of pairs holds the
            first videos of all pairs, then the second ones.
        weight: Weight of the batch in the loss: 0 for a padding shard that must not count, else 1.
    """

    videos: Tensor
    rows: Tensor
    unit: int = 1
    weight: float = 1.0

    def to(self, device: torch.device) -> "Batch":
        """Returns the same indices on another device."""
        return self._replace(videos=self.videos.to(device), rows=self.rows.to(device))

    def shard(self, rank: int, world_size: int) -> "Batch":
        """Returns the shard of one process: whole units, split as evenly as possible.

        A process that gets no unit receives the first one with weight 0 as padding, so that every
        process takes part in every step.

        Args:
            rank: Rank of the process, from 0.
            world_size: Number of processes.
        """
        units = len(self.videos) // self.unit
        start, stop = rank * units // world_size, (rank + 1) * units // world_size
        weight = self.weight if start < stop else 0.0
        chosen = slice(start, stop) if start < stop else slice(1)

        def select(index: Tensor) -> Tensor:
            return index.unflatten(0, (self.unit, units))[:, chosen].flatten(0, 1)

        return Batch(select(self.videos), select(self.rows), self.unit, weight)


class VideoBatches:
    """Batches of single videos: every video once per epoch, in random order, newly sampled.

    Args:
        lengths: (V,) int64, number of snippets of each video.
        num_snippets: T.
        batch_size: B; the last batch of an epoch may be smaller.
        generator: Source of all random numbers.
        device: Device of the indices, which are moved there once per epoch.
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
