"""The two contrasts of FTCL-Net between the videos of pairs, as terms of the loss.

Letters: N pairs, B = 2 N videos (all first ones, then all second ones), L snippets of a sequence.
Source: FTCL (CVPR 2022), sections 3.2 and 3.3.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.alignment import (
    cosine_table,
    fine_grained_sequence_distance,
    longest_common_subsequence,
)
from models.ftclnet import Sequence


class LCSScores(NamedTuple):
    """Longest common subsequences of pairs.

    Attributes:
        score: (N,) sum of the cosines of the matched snippets.
        longest: (N,) the most it could be: snippets of the shorter sequence.
        match_share: (N,) share of the cells of the table whose snippets match.
    """

    score: Tensor
    longest: Tensor
    match_share: Tensor


def halves(sequence: Sequence) -> tuple[Sequence, Sequence]:
    """The sequences of the first and of the second videos of the pairs."""
    first, second = sequence.snippets.chunk(2)
    first_lengths, second_lengths = sequence.lengths.chunk(2)
    return Sequence(first, first_lengths), Sequence(second, second_lengths)


def same_class(labels: Tensor) -> Tensor:
    """(N,) bool, True where the videos of a pair share a class; labels (B, C)."""
    first, second = labels.chunk(2)
    return (first * second).sum(dim=1) > 0


def fsd_scores(first: Sequence, second: Sequence, gamma: float) -> Tensor:
    """(N,) fine-grained sequence distance of projected sequences: the larger, the more alike."""
    thirds = zip(first.snippets.chunk(3, dim=-1), second.snippets.chunk(3, dim=-1), strict=True)
    match, insert, delete = (cosine_table(x, y) for x, y in thirds)
    return fine_grained_sequence_distance(
        match, insert, delete, gamma, (first.lengths, second.lengths)
    )


def lcs_scores(first: Sequence, second: Sequence, threshold: float) -> LCSScores:
    """Longest common subsequences of the embeddings of two sequences."""
    similarity = cosine_table(first.snippets, second.snippets)  # (N, L, M)
    rows, columns = (torch.arange(n, device=similarity.device) for n in similarity.shape[1:])
    real_rows, real_columns = rows < first.lengths[:, None], columns < second.lengths[:, None]
    real = real_rows[:, :, None] & real_columns[:, None]
    matches = ((similarity.detach() > threshold) & real).sum(dim=(1, 2))
    return LCSScores(
        longest_common_subsequence(similarity, threshold, (first.lengths, second.lengths)),
        torch.minimum(first.lengths, second.lengths),
        matches / (first.lengths * second.lengths),
    )


def difference_of_means(
    scores: Tensor, positive: Tensor, all_positive: Tensor | None = None
) -> Tensor:
    """Mean score of the negative pairs minus that of the positive ones: the released contrast.

    Args:
        scores: (N,).
        positive: (N,) bool.
        all_positive: of the whole batch, if these pairs are a share of it.

    Returns:
        Scalar, the part of these pairs in it; a side without a pair counts as 0.
    """
    everywhere = positive if all_positive is None else all_positive
    return _mean(scores, ~positive, ~everywhere) - _mean(scores, positive, everywhere)


def ranking_loss(
    alike: Tensor,
    unlike: tuple[Tensor, ...],
    positive: Tensor,
    eta: float,
    all_positive: Tensor | None = None,
) -> Tensor:
    """The paper's FSD loss: in pairs of one class, action with action beats action with background.

    Args:
        alike: (N,) scores of action against action.
        unlike: scores (N,) of action against background.
        positive: (N,) bool, the pairs of one class; the others take no part.
        eta: temperature of l(x) = log(1 + exp(x / eta)).
        all_positive: as in `difference_of_means`.

    Returns:
        Scalar, the mean over the positive pairs of the sum over `unlike`; 0 without one.
    """
    losses = torch.stack([F.softplus((other - alike) / eta) for other in unlike]).sum(dim=0)
    return _mean(losses, positive, positive if all_positive is None else all_positive)


def match_cross_entropy(scores: LCSScores, positive: Tensor) -> Tensor:
    """The paper's LCS loss: the share of the sequence that is common tells whether classes agree.

    Args:
        scores: of N pairs.
        positive: (N,) bool.

    Returns:
        Scalar mean cross-entropy; the share is kept inside [1e-6, 1 - 1e-6].
    """
    share = (scores.score / scores.longest).clamp(1e-6, 1 - 1e-6)
    return -torch.where(positive, share.log(), (-share).log1p()).mean()


def _mean(values: Tensor, chosen: Tensor, everywhere: Tensor) -> Tensor:
    """Part of the chosen values in the mean over all that are chosen; 0 if none is."""
    return torch.where(chosen, values, 0).sum() / everywhere.sum().clamp(min=1)
