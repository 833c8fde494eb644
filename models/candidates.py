"""Candidate snippets: the short sequences of a video that the contrastive losses align.

Letters: B videos, T snippets, D feature channels, L candidate snippets of a sequence.
Source: FTCL (CVPR 2022), section 3.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.branches import BACKGROUND, INSTANCE


class Candidates(NamedTuple):
    """Which snippets of every video are candidates, in temporal order.

    Attributes:
        chosen: (B, L) int64, indices of snippets; beyond the length of a video they are padding.
        lengths: (B,) int64, from 1 to L: less than L if the video has fewer usable snippets.
    """

    chosen: Tensor
    lengths: Tensor


class SnippetSequence(NamedTuple):
    """Candidate snippets of every video, in temporal order.

    Attributes:
        snippets: (B, L, D) their embeddings; beyond the length of a video they are padding.
        lengths: (B,) int64, as in `Candidates`.
    """

    snippets: Tensor
    lengths: Tensor


def action_candidates(attention: Tensor, length: int, usable: Tensor | None = None) -> Candidates:
    """The snippets of highest instance attention.

    Args:
        attention: (B, T, 3), see `models.branches`.
        length: L.
        usable: (B, T) bool, the snippets that may be chosen; by default all.
    """
    return _ranked(attention[..., INSTANCE], 0, length, usable)


def background_candidates(
    attention: Tensor, length: int, kind: str, usable: Tensor | None = None
) -> Candidates:
    """The snippets that stand for background.

    Args:
        attention: (B, T, 3), see `models.branches`.
        length: L.
        kind: "release": the L snippets that follow the L of highest instance attention, as in the
            official implementation, where they are mostly action; "attention": those of highest
            background attention; "low": those of lowest instance attention, the low-activation
            snippets described in the paper.
        usable: (B, T) bool, the snippets that may be chosen; by default all.
    """
    if kind == "release":
        return _ranked(attention[..., INSTANCE], length, length, usable)
    score = {"attention": attention[..., BACKGROUND], "low": -attention[..., INSTANCE]}[kind]
    return _ranked(score, 0, length, usable)


def gather_snippets(embedding: Tensor, *candidates: Candidates) -> list[SnippetSequence]:
    """The embeddings (B, T, D) of several sets of candidates, gathered at once.

    A single gather needs a single backward pass, and each one writes a gradient as large as the
    embedding.
    """
    if not candidates:
        return []
    batch, num_snippets, channels = embedding.shape
    index = torch.cat([c.chosen for c in candidates], dim=1)
    flat = index + num_snippets * torch.arange(batch, device=index.device)[:, None]
    rows = embedding.flatten(0, 1).index_select(0, flat.flatten()).view(batch, -1, channels)
    parts = rows.split([c.chosen.shape[1] for c in candidates], dim=1)
    return [SnippetSequence(part, c.lengths) for part, c in zip(parts, candidates, strict=True)]


def first_occurrences(rows: Tensor) -> Tensor:
    """Marks the snippets that do not repeat the snippet before.

    Short videos are sampled with replacement, so that neighbours are often identical.

    Args:
        rows: (B, T) int64, ascending, the sampled rows of the feature file.

    Returns:
        (B, T) bool.
    """
    changed = rows[:, 1:] != rows[:, :-1]
    return torch.cat([changed.new_ones(len(rows), 1), changed], dim=1)


def _ranked(score: Tensor, skip: int, length: int, usable: Tensor | None) -> Candidates:
    """The snippets of ranks skip + 1 to skip + length in descending order of score, put in temporal
    order.

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
    # Indices beyond the length of a video are sorted to the end of the sequence: they are padding.
    index = ranked.gather(1, rank).masked_fill(place >= lengths[:, None], num_snippets)
    return Candidates(index.sort(dim=1).values.clamp(max=num_snippets - 1), lengths)
