"""The training criterion of each stage: network output and labels to named, unweighted losses.

Letters: B videos, T snippets, C action classes.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from models.acmnet import ACMOutput
from models.contrastive import ContrastiveLosses
from models.losses import acm_losses
from models.terms import Terms


class Criterion(Protocol):
    """Losses of a batch, or of the shard of a batch that a process holds.

    Every loss is a sum over the videos or pairs divided by a normalizer that is counted in the
    whole batch, so that the losses of the shards add up to those of the batch.

    Args:
        output: Of the network, for B videos.
        labels: (B, C) float, 1 where the class occurs in the video.
        rows: (B, T) int64, the sampled rows of the feature file.
        batch_labels: Labels of the whole batch; by default these videos are the whole batch.
    """

    def __call__(
        self, output: Any, labels: Tensor, rows: Tensor, batch_labels: Tensor | None = None
    ) -> Terms: ...


@dataclass(frozen=True)
class ACMCriterion:
    """The losses of ACM-Net; on pairs of videos, the control without contrastive losses.

    Attributes:
        feat_margin: See `acm_losses`.
    """

    feat_margin: float = 50.0

    def __call__(
        self,
        output: ACMOutput,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        num_videos = len(labels if batch_labels is None else batch_labels)
        return acm_losses(output, labels, num_videos, self.feat_margin)


@dataclass(frozen=True)
class FTCLCriterion:
    """The losses of ACM-Net over all videos, and the contrastive losses between those of each pair.

    The batch holds the first videos of all pairs, then the second ones.

    Attributes:
        acm: The losses of ACM-Net.
        contrastive: The contrastive losses.
    """

    acm: ACMCriterion
    contrastive: ContrastiveLosses

    def __call__(
        self,
        output: ACMOutput,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        acm, norms = self.acm(output, labels, rows, batch_labels)
        contrastive, logged = self.contrastive(
            output.embedding, output.attention, labels, rows, batch_labels
        )
        return Terms(acm | contrastive, norms | logged)
