"""Pairs of training videos for the contrastive losses: equal classes, or no class in common.

Letters: V videos, C classes, N pairs, T sampled snippets.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from dataset.batches import Batch
from dataset.sampling import random_rows
from utils.errors import UserError


def positive_pairs(labels: Tensor) -> Tensor:
    """All pairs of videos with equal sets of classes: (V, C) 0/1 -> (N, 2) int64, i < j."""
    same = (labels[:, None] == labels[None]).all(dim=-1)
    return same.triu(diagonal=1).nonzero()


def negative_pairs(labels: Tensor) -> Tensor:
    """All pairs of videos without a common class: (V, C) 0/1 -> (N, 2) int64, i < j."""
    return (labels @ labels.T == 0).triu(diagonal=1).nonzero()


class PairBatches:
    """Batches of pairs: all positive pairs and as many negative ones, in random order per epoch.

    As in the official implementation, the negative pairs and the snippets of every video are drawn
    once, unless `resample` is set. Pairs of videos that share some but not all classes are not
    used.

    Args:
        labels: (V, C) 0/1.
        lengths: (V,) int64, number of snippets of each video.
        num_snippets: T.
        batch_size: Pairs per step; the last batch of an epoch may be smaller.
        resample: Whether negative pairs and snippets are drawn anew every epoch.
        generator: Source of all random numbers.
        device: Device of the indices, which are moved there once per epoch.

    Raises:
        UserError: If there is no positive or no negative pair.
    """

    def __init__(
        self,
        labels: Tensor,
        lengths: Tensor,
        num_snippets: int,
        batch_size: int,
        resample: bool,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.positive = positive_pairs(labels.cpu())
        self.negative = negative_pairs(labels.cpu())
        if not len(self.positive):
            raise UserError(
                "--ftcl needs pairs of training videos with the same labels; no two of the "
                f"{len(labels)} videos have equal labels. Add videos or train without --ftcl"
            )
        if not len(self.negative):
            raise UserError(
                "--ftcl needs pairs of training videos without a common label; any two of the "
                f"{len(labels)} videos share a label. Add videos or train without --ftcl"
            )
        self.lengths = lengths
        self.num_snippets = num_snippets
        self.batch_size = batch_size
        self.resample = resample
        self.generator = generator
        self.device = device
        self.pairs, self.rows = self._draw()

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self.resample:
            self.pairs, self.rows = self._draw()
        order = torch.randperm(len(self.pairs), generator=self.generator)
        pairs = self.pairs[order].to(self.device)
        rows = self.rows.to(self.device)
        for start in range(0, len(pairs), self.batch_size):
            videos = pairs[
                start : start + self.batch_size
            ].T.flatten()  # first ones, then second ones
            yield Batch(videos, rows[videos], unit=2)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draws the pairs of videos (N, 2) and the snippet indices of every video (V, T)."""
        chosen = torch.randperm(len(self.negative), generator=self.generator)
        negative = self.negative[chosen[: len(self.positive)]]
        rows = random_rows(self.lengths, self.num_snippets, self.generator)
        return torch.cat([self.positive, negative]), rows
