"""What is minimised in each stage: a network, a batch and its labels -> named terms.

Letters: B videos, T snippets, D feature channels, C action classes.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from models.acmnet import ACMNet
from models.contrastive import (
    difference_of_means,
    fsd_scores,
    halves,
    lcs_scores,
    match_cross_entropy,
    ranking_loss,
    same_class,
)
from models.ftclnet import (
    FTCLNet,
    Sequence,
    action_candidates,
    background_candidates,
    first_occurrences,
    take,
)
from models.losses import Losses, acm_losses


class Terms(NamedTuple):
    """Unweighted scalar losses by name, and scalars that are only watched."""

    losses: Losses
    watched: dict[str, Tensor]


class Criterion(Protocol):
    """Scores a batch: features (B, T, D), labels (B, C) and sampled rows (B, T) to `Terms`.

    Given the labels of a larger batch, of which this one is a share, every term is the part of the
    share in that of the whole: the sum over the shares is the term.
    """

    def __call__(
        self,
        net: ACMNet,
        features: Tensor,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms: ...


@dataclass(frozen=True)
class ACMCriterion:
    """The loss of ACM-Net; on pairs, the control without contrasts.

    Attributes:
        feat_margin: see `acm_losses`.
    """

    feat_margin: float = 50.0

    def __call__(
        self,
        net: ACMNet,
        features: Tensor,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        share = 1.0 if batch_labels is None else len(labels) / len(batch_labels)
        return Terms(_scaled(acm_losses(net(features), labels, self.feat_margin), share), {})


@dataclass(frozen=True)
class FTCLCriterion:
    """The loss of ACM-Net over all videos plus the contrasts between the videos of each pair.

    The batch holds the first videos of all pairs, then the second ones.

    Attributes:
        feat_margin: see `acm_losses`.
        fsd, lcs: which contrasts are used.
        fsd_len, lcs_len: snippets of their sequences.
        gamma: temperature of the smooth maximum of FSD; 0 is the plain maximum.
        threshold: two snippets match in LCS if their cosine exceeds it.
        objective: "release": negative minus positive pairs, where for FSD a negative pair aligns
            action with background; "paper": ranking loss for FSD, cross-entropy for LCS.
        background: which snippets stand for background, see `background_sequence`.
        distinct: a row counts once among the candidates however often it was sampled.
        eta: temperature of the ranking loss.
    """

    feat_margin: float = 50.0
    fsd: bool = True
    lcs: bool = True
    fsd_len: int = 5
    lcs_len: int = 30
    gamma: float = 0.1
    threshold: float = 0.92
    objective: str = "release"
    background: str = "release"
    distinct: bool = False
    eta: float = 0.2

    def __call__(
        self,
        net: ACMNet,
        features: Tensor,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        assert isinstance(net, FTCLNet)
        batch_labels = labels if batch_labels is None else batch_labels
        share = len(labels) / len(batch_labels)
        output = net(features)
        terms = Terms(_scaled(acm_losses(output, labels, self.feat_margin), share), {})
        positive = same_class(labels)
        all_positive = positive if share == 1 else same_class(batch_labels)
        usable = first_occurrences(rows) if self.distinct else None
        wanted = []
        if self.fsd:
            wanted = [
                action_candidates(output, self.fsd_len, usable),
                background_candidates(output, self.fsd_len, self.background, usable),
            ]
        if self.lcs:
            wanted.append(action_candidates(output, self.lcs_len, usable))
        sequences = take(output.embedding, *wanted)
        if self.fsd:
            action, background, *sequences = sequences
            terms.losses["fsd"] = self._fsd_loss(net, action, background, positive, all_positive)
        if self.lcs:
            scores = lcs_scores(*halves(sequences[0]), self.threshold)
            if self.objective == "paper":
                terms.losses["lcs"] = match_cross_entropy(scores, positive) * share
            else:
                terms.losses["lcs"] = difference_of_means(scores.score, positive, all_positive)
            terms.watched["lcs match share"] = scores.match_share.mean() * share
        return terms

    def _fsd_loss(
        self,
        net: FTCLNet,
        action: Sequence,
        background: Sequence,
        positive: Tensor,
        all_positive: Tensor,
    ) -> Tensor:
        first_action, second_action = halves(net.project(action))
        first_background, second_background = halves(net.project(background))
        if self.objective == "paper":
            alike = fsd_scores(first_action, second_action, self.gamma)
            unlike = (
                fsd_scores(first_action, second_background, self.gamma),
                fsd_scores(first_background, second_action, self.gamma),
            )
            return ranking_loss(alike, unlike, positive, self.eta, all_positive)
        partner = Sequence(
            second_action.snippets.where(positive[:, None, None], second_background.snippets),
            second_action.lengths.where(positive, second_background.lengths),
        )
        scores = fsd_scores(first_action, partner, self.gamma)
        return difference_of_means(scores, positive, all_positive)


def _scaled(losses: Losses, share: float) -> Losses:
    if share == 1:  # as with one process; on a GPU every product is a launch
        return losses
    return {name: loss * share for name, loss in losses.items()}
