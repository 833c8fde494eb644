"""FTCL-Net: ACM-Net, candidate sequences of snippets, and a projection in which they are aligned.

Letters: B videos, T snippets, D feature channels, L candidate snippets of a sequence, P channels
of the projection.
Source: FTCL (CVPR 2022), section 3; parameter names are those of the released checkpoints.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.acmnet import BACKGROUND, INSTANCE, ACMNet, ACMOutput


class Candidates(NamedTuple):
    """Which snippets of every video are looked at, in temporal order.

    Attributes:
        chosen: (B, L) int64 indices; what follows the length of a video is padding.
        lengths: (B,) int64, from 1 to L: fewer than L where the video has fewer snippets.
    """

    chosen: Tensor
    lengths: Tensor


class Sequence(NamedTuple):
    """Candidate snippets of every video, in temporal order.

    Attributes:
        snippets: (B, L, D or P) their features; what follows the length of a video is padding.
        lengths: (B,) int64, as in `Candidates`.
    """

    snippets: Tensor
    lengths: Tensor


class FTCLNet(ACMNet):
    """ACM-Net with the projection of the FSD contrast.

    Args:
        feature_dim: D.
        num_classes: C.
        dropout, topk_divisors: as in `ACMNet`.
        fc_dim: P; the first half of the projected channels is compared for matches, the second
            half for gaps.
        separate_gaps: insert and delete get a projection each, as in the paper; else they share
            one, as in the released code.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        dropout: float = 0.7,
        topk_divisors: tuple[int, int, int] = (8, 3, 3),
        fc_dim: int = 1024,
        separate_gaps: bool = False,
    ) -> None:
        super().__init__(feature_dim, num_classes, dropout, topk_divisors)
        self.feature_trans = nn.Linear(feature_dim, fc_dim)
        self.delete_trans = nn.Linear(feature_dim, fc_dim // 2) if separate_gaps else None

    def project(self, sequence: Sequence) -> Sequence:
        """The sequence in the space of the FSD contrast: match, insert and delete channels.

        Returns:
            Snippets (B, L, 3 * P // 2), in thirds.
        """
        projected = self.feature_trans(sequence.snippets)
        if self.delete_trans is None:
            delete = projected[..., projected.shape[-1] // 2 :]
        else:
            delete = self.delete_trans(sequence.snippets)
        return Sequence(torch.cat([projected, delete], dim=-1), sequence.lengths)


def action_candidates(output: ACMOutput, length: int, usable: Tensor | None = None) -> Candidates:
    """The snippets of highest instance attention.

    Args:
        output: of B videos.
        length: L, how many are wanted.
        usable: (B, T) bool, the snippets that may be chosen; all by default.
    """
    return _ranked(output.attention[..., INSTANCE], 0, length, usable)


def background_candidates(
    output: ACMOutput, length: int, kind: str, usable: Tensor | None = None
) -> Candidates:
    """The snippets that stand for background.

    Args:
        output: of B videos.
        length: L, how many are wanted.
        kind: "release": those that follow the L of highest instance attention (they are mostly
            action, in the released code as here); "attention": of highest background attention;
            "low": of lowest instance attention, the low activation that the paper speaks of.
        usable: (B, T) bool, the snippets that may be chosen; all by default.
    """
    attention = output.attention
    if kind == "release":
        return _ranked(attention[..., INSTANCE], length, length, usable)
    score = {"attention": attention[..., BACKGROUND], "low": -attention[..., INSTANCE]}[kind]
    return _ranked(score, 0, length, usable)


def take(embedding: Tensor, *candidates: Candidates) -> list[Sequence]:
    """The candidates' rows of the embedding (B, T, D), read in one go.

    One reading has one backward, which writes a gradient as large as the whole embedding.
    """
    if not candidates:
        return []
    batch, num_snippets, channels = embedding.shape
    index = torch.cat([c.chosen for c in candidates], dim=1)
    flat = index + num_snippets * torch.arange(batch, device=index.device)[:, None]
    rows = embedding.flatten(0, 1).index_select(0, flat.flatten()).view(batch, -1, channels)
    parts = rows.split([c.chosen.shape[1] for c in candidates], dim=1)
    return [Sequence(part, c.lengths) for part, c in zip(parts, candidates, strict=True)]


def first_occurrences(rows: Tensor) -> Tensor:
    """Marks the snippets that are not the same row of the file as the snippet before.

    Args:
        rows: (B, T) int64, ascending, the sampled rows.

    Returns:
        (B, T) bool.
    """
    changed = rows[:, 1:] != rows[:, :-1]
    return torch.cat([changed.new_ones(len(rows), 1), changed], dim=1)


def _ranked(score: Tensor, skip: int, length: int, usable: Tensor | None) -> Candidates:
    """The snippets of ranks skip + 1 to skip + length by falling score, put in temporal order.

    A video with fewer usable snippets skips as few as needed to give `length`, or all it has.
    """
    batch, num_snippets = score.shape
    score = score.detach()
    if usable is None:
        count = score.new_full((batch,), num_snippets, dtype=torch.int64)
    else:
        count = usable.sum(dim=1)
        score = score.masked_fill(~usable, -torch.inf)
    ranked = score.topk(min(skip + length, num_snippets), dim=1).indices
    skipped = (count - length).clamp(min=0, max=skip)  # (B,)
    lengths = (count - skipped).clamp(max=length)
    place = torch.arange(min(length, num_snippets), device=score.device)
    rank = (skipped[:, None] + place).clamp(max=ranked.shape[1] - 1)
    # What is beyond a video's length goes to the end of the sorted sequence: it is padding.
    index = ranked.gather(1, rank).masked_fill(place >= lengths[:, None], num_snippets)
    return Candidates(index.sort(dim=1).values.clamp(max=num_snippets - 1), lengths)
