"""The contrastive losses of FTCL-Net between the videos of pairs.

They need the embedding and the attention of a network, not a particular class of network.

Letters: N pairs, B = 2 N videos (all first videos, then all second ones), T snippets, D feature
channels, C action classes, L and M snippets of two sequences.
Source: FTCL (CVPR 2022), sections 3.2 and 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.alignment import (
    Moves,
    cosine_table,
    fine_grained_sequence_distance,
    longest_common_subsequence,
)
from models.candidates import (
    SnippetSequence,
    action_candidates,
    background_candidates,
    first_occurrences,
    gather_snippets,
)
from models.terms import Losses, Terms


class PairCounts(NamedTuple):
    """Normalizers: the numbers of pairs in the whole batch, of which a process may hold a shard.

    Attributes:
        positive, negative: Scalars, at least 1: pairs of one class, and pairs of different ones.
        total: Number of all pairs.
    """

    positive: Tensor
    negative: Tensor
    total: int


class LCSScores(NamedTuple):
    """Longest common subsequences of pairs.

    Attributes:
        score: (N,) sum of the cosine similarities of the matched snippets.
        longest: (N,) upper limit of the score: snippets of the shorter sequence.
        match_share: (N,) fraction of the cells of the table whose snippets match.
    """

    score: Tensor
    longest: Tensor
    match_share: Tensor


@dataclass(frozen=True)
class ContrastiveLosses:
    """Aligns the candidate snippets of the two videos of each pair.

    Attributes:
        project: Embeddings (B, L, D) to the channels that FSD compares, as `FTCLNet.project`.
        fsd, lcs: Which losses are used.
        fsd_len, lcs_len: Snippets of their sequences.
        gamma: Temperature of the smooth maximum of FSD; 0 is the plain maximum.
        lcs_threshold: Two snippets match in LCS if their cosine similarity exceeds it.
        objective: "release": mean score of negative minus that of positive pairs, where for FSD a
            negative pair aligns action with background; "paper": a ranking loss for FSD, a
            cross-entropy for LCS.
        background: Which snippets stand for background, see `background_candidates`.
        distinct: A snippet is a candidate only once, however often it was sampled.
        eta: Temperature of the ranking loss.
    """

    project: Callable[[Tensor], Moves]
    fsd: bool = True
    lcs: bool = True
    fsd_len: int = 5
    lcs_len: int = 30
    gamma: float = 0.1
    lcs_threshold: float = 0.92
    objective: str = "release"
    background: str = "release"
    distinct: bool = False
    eta: float = 0.2

    def __call__(
        self,
        embedding: Tensor,
        attention: Tensor,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        """The losses `fsd` and `lcs`, and values that are only logged.

        Args:
            embedding: (B, T, D).
            attention: (B, T, 3), see `models.branches`.
            labels: (B, C) float, 1 where the class occurs in the video.
            rows: (B, T) int64, the sampled rows of the feature file.
            batch_labels: Labels of the whole batch if these videos are a shard of it. The losses
                of the shards add up to those of the batch.
        """
        positive = same_class(labels)
        counts = count_pairs(positive if batch_labels is None else same_class(batch_labels))
        usable = first_occurrences(rows) if self.distinct else None
        wanted = []
        if self.fsd:
            wanted = [
                action_candidates(attention, self.fsd_len, usable),
                background_candidates(attention, self.fsd_len, self.background, usable),
            ]
        if self.lcs:
            wanted.append(action_candidates(attention, self.lcs_len, usable))
        sequences = gather_snippets(embedding, *wanted)
        losses: Losses = {}
        logged = {}
        if self.fsd:
            action, background, *sequences = sequences
            losses["fsd"] = self._fsd_loss(action, background, positive, counts)
        if self.lcs:
            scores = lcs_scores(*halves(sequences[0]), self.lcs_threshold)
            if self.objective == "paper":
                losses["lcs"] = match_cross_entropy(scores, positive, counts)
            else:
                losses["lcs"] = difference_of_means(scores.score, positive, counts)
            logged["lcs match share"] = scores.match_share.sum() / counts.total
        return Terms(losses, logged)

    def _fsd_loss(
        self,
        action: SnippetSequence,
        background: SnippetSequence,
        positive: Tensor,
        counts: PairCounts,
    ) -> Tensor:
        first_action, second_action = halves(action)
        first_background, second_background = halves(background)
        if self.objective == "paper":
            action_scores = self._fsd_scores(first_action, second_action)
            background_scores = (
                self._fsd_scores(first_action, second_background),
                self._fsd_scores(first_background, second_action),
            )
            return ranking_loss(action_scores, background_scores, positive, self.eta, counts)
        partner = SnippetSequence(
            second_action.snippets.where(positive[:, None, None], second_background.snippets),
            second_action.lengths.where(positive, second_background.lengths),
        )
        scores = self._fsd_scores(first_action, partner)
        return difference_of_means(scores, positive, counts)

    def _fsd_scores(self, first: SnippetSequence, second: SnippetSequence) -> Tensor:
        return fsd_scores(first, second, self.project, self.gamma)


def halves(sequence: SnippetSequence) -> tuple[SnippetSequence, SnippetSequence]:
    """The sequences of the first and of the second videos of the pairs."""
    first, second = sequence.snippets.chunk(2)
    first_lengths, second_lengths = sequence.lengths.chunk(2)
    return SnippetSequence(first, first_lengths), SnippetSequence(second, second_lengths)


def same_class(labels: Tensor) -> Tensor:
    """(N,) bool, True where the videos of a pair share a class; labels (B, C)."""
    first, second = labels.chunk(2)
    return (first * second).sum(dim=1) > 0


def count_pairs(positive: Tensor) -> PairCounts:
    """The normalizers of a batch; positive (N,) as `same_class` gives it."""
    number = positive.sum()
    return PairCounts(number.clamp(min=1), (len(positive) - number).clamp(min=1), len(positive))


def fsd_scores(
    first: SnippetSequence,
    second: SnippetSequence,
    project: Callable[[Tensor], Moves],
    gamma: float,
) -> Tensor:
    """(N,) fine-grained sequence distance of N pairs of sequences: larger means more similar."""
    tables = cosine_tables(project(first.snippets), project(second.snippets))
    return fine_grained_sequence_distance(*tables, gamma, (first.lengths, second.lengths))


def cosine_tables(first: Moves, second: Moves) -> Moves:
    """(N, L, M) cosine similarity of each move; one table for both gaps if they share channels."""
    match = cosine_table(first.match, second.match)
    insert = cosine_table(first.insert, second.insert)
    shared = first.delete is first.insert
    delete = insert if shared else cosine_table(first.delete, second.delete)
    return Moves(match, insert, delete)


def lcs_scores(first: SnippetSequence, second: SnippetSequence, threshold: float) -> LCSScores:
    """Longest common subsequences of the embeddings of N pairs of sequences."""
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


def difference_of_means(scores: Tensor, positive: Tensor, counts: PairCounts) -> Tensor:
    """Mean score of the negative pairs minus that of the positive ones.

    Source: the official implementation.

    Args:
        scores: (N,).
        positive: (N,) bool.
        counts: Normalizers.

    Returns:
        Scalar; a side without a pair counts as 0.
    """
    positives = torch.where(positive, scores, 0).sum() / counts.positive
    negatives = torch.where(positive, 0, scores).sum() / counts.negative
    return negatives - positives


def ranking_loss(
    action_scores: Tensor,
    background_scores: tuple[Tensor, ...],
    positive: Tensor,
    eta: float,
    counts: PairCounts,
) -> Tensor:
    """FSD loss of the paper.

    In pairs that share a class, action snippets align better with action than with background.

    Args:
        action_scores: (N,) scores of action against action.
        background_scores: Scores (N,) of action against background.
        positive: (N,) bool, the pairs of one class; the others take no part.
        eta: Temperature of l(x) = log(1 + exp(x / eta)).
        counts: Normalizers.

    Returns:
        Scalar, the mean over the positive pairs of the sum over `background_scores`; 0 without
            one.
    """
    losses = torch.stack(
        [F.softplus((other - action_scores) / eta) for other in background_scores]
    ).sum(dim=0)
    return torch.where(positive, losses, 0).sum() / counts.positive


def match_cross_entropy(scores: LCSScores, positive: Tensor, counts: PairCounts) -> Tensor:
    """LCS loss of the paper: the common fraction of the sequences predicts whether classes agree.

    Args:
        scores: Of N pairs.
        positive: (N,) bool.
        counts: Normalizers.

    Returns:
        Scalar mean cross-entropy; the fraction is kept inside [1e-6, 1 - 1e-6].
    """
    fraction = (scores.score / scores.longest).clamp(1e-6, 1 - 1e-6)
    losses = -torch.where(positive, fraction.log(), (-fraction).log1p())
    return losses.sum() / counts.total
