"""Pairs of training videos for the contrastive losses: equal classes, or no class in common.

Letters: V videos, C classes, N pairs, T sampled snippets.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from dataset.batches import Batch
from dataset.pair_sampling import PairSampler
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
    """Batches of pairs: half of them positive, half negative, in random order per epoch.

    As in the official implementation, all positive pairs and as many negative ones are used, and
    the negative pairs and the snippets of every video are drawn once, unless `resample` is set.
    With `pairs_per_epoch` that many pairs are drawn anew in every epoch, with new snippets, and the
    pairs are never listed. Pairs of videos that share some but not all classes are not used.

    Args:
        labels: (V, C) 0/1.
        lengths: (V,) int64, number of snippets of each video.
        num_snippets: T.
        batch_size: Pairs per step; the last batch of an epoch may be smaller.
        resample: Whether negative pairs and snippets are drawn anew in every epoch.
        generator: Source of all random numbers.
        device: Device of the indices, which are moved there once per epoch.
        pairs_per_epoch: Number of pairs; 0 for all positive ones and as many negative ones.

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
        pairs_per_epoch: int = 0,
    ) -> None:
        labels = labels.cpu()
        self.sampler = PairSampler(labels)
        if not self.sampler.num_positive:
            raise UserError(
                "--ftcl needs pairs of training videos with the same labels; no two of the "
                f"{len(labels)} videos have equal labels. Add videos or train without --ftcl"
            )
        if not self.sampler.num_negative:
            raise UserError(
                "--ftcl needs pairs of training videos without a common label; any two of the "
                f"{len(labels)} videos share a label. Add videos or train without --ftcl"
            )
        self.pairs_per_epoch = pairs_per_epoch
        if not pairs_per_epoch:
            self.positive, self.negative = positive_pairs(labels), negative_pairs(labels)
        self.lengths = lengths
        self.num_snippets = num_snippets
        self.batch_size = batch_size
        self.resample = resample or pairs_per_epoch > 0
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
            # All first videos of the pairs, then all second ones.
            videos = pairs[start : start + self.batch_size].T.flatten()
            yield Batch(videos, rows[videos], unit=2)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draws the pairs of videos (N, 2) and the snippet indices of every video (V, T)."""
        if self.pairs_per_epoch:
            count = self.pairs_per_epoch // 2
            positive = self.sampler.positive(count, self.generator)
            negative = self.sampler.negative(self.pairs_per_epoch - count, self.generator)
        else:
            chosen = torch.randperm(len(self.negative), generator=self.generator)
            positive, negative = self.positive, self.negative[chosen[: len(self.positive)]]
        rows = random_rows(self.lengths, self.num_snippets, self.generator)
        return torch.cat([positive, negative]), rows
