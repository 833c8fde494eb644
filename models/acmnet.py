"""ACM-Net: attention assigns every snippet to an action instance, its context, or the background.

Letters: B videos, T snippets, D feature channels, C action classes, K top-k snippets.
Source: ACM-Net (arXiv 2104.02967), sections 3.2 and 3.3; the parameter names are those of the
official checkpoints.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.branches import INSTANCE
from models.dropout import Dropout
from models.temporal_conv import TemporalConv


class BatchScores(NamedTuple):
    """Scores of a batch of videos used for localization.

    Attributes:
        cas: (B, T, C + 1) class activation sequence, softmax over the classes, background last.
        attention: (B, T) instance attention.
        class_scores: (B, C + 1) probabilities of the classes in each video.
        branch_attention: (B, T, 3) attention of all branches, which only figures show; None if the
            network has no such branches.
    """

    cas: Tensor
    attention: Tensor
    class_scores: Tensor
    branch_attention: Tensor | None = None


class ACMOutput(NamedTuple):
    """Output of the network for a batch of videos.

    Attributes:
        embedding: (B, T, D) snippets after the embedding, without dropout.
        attention: (B, T, 3) probabilities of the branches, which sum to 1 in every snippet.
        cas_logits: (B, T, C + 1) class activation sequence before attention, background last; that
            of branch b is `cas_logits * attention[..., b:b + 1]`.
        video_logits: (B, 3, C + 1) class scores of the video in each branch, before the softmax.
        branch_features: (B, 3, D) mean embedding of the snippets of highest attention per branch.
    """

    embedding: Tensor
    attention: Tensor
    cas_logits: Tensor
    video_logits: Tensor
    branch_features: Tensor

    def branch_cas(self, branch: int) -> Tensor:
        """(B, T, C + 1) class activation sequence of one branch, softmax over the classes."""
        return (self.cas_logits * self.attention[..., branch : branch + 1]).softmax(dim=-1)

    def video_scores(self) -> BatchScores:
        """The scores from which the videos are localized: those of the instance branch."""
        return BatchScores(
            self.branch_cas(INSTANCE),
            self.attention[..., INSTANCE],
            self.video_logits[:, INSTANCE].softmax(dim=-1),
            self.attention,
        )


class ACMNet(nn.Module):
    """The action context modeling network.

    Args:
        feature_dim: D, channels of a snippet feature.
        num_classes: C.
        dropout: Probability of dropping a whole snippet, and then a channel, before the classifier.
        topk_divisors: For instance, context and background: a video score is the mean over the
            T // divisor best snippets (at least one).
        input_dropout: Probability of dropping a channel before the embedding and before the
            attention, as on ActivityNet; 0 leaves these layers out, as on THUMOS14.
        temporal_conv: Form of the convolution of the embedding, see `TemporalConv`.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        dropout: float = 0.7,
        topk_divisors: tuple[int, int, int] = (8, 3, 3),
        input_dropout: float = 0.0,
        temporal_conv: str = "auto",
    ) -> None:
        super().__init__()
        # With dropout first, the convolution is named feature_embedding.1, as in the official
        # ActivityNet checkpoints.
        self.feature_embedding = nn.Sequential(
            *([Dropout(input_dropout)] if input_dropout else []),
            TemporalConv(feature_dim, feature_dim, kernel_size=3, rectify=True, form=temporal_conv),
        )
        self.attention_dropout = Dropout(input_dropout) if input_dropout else nn.Identity()
        self.att_branch = nn.Conv1d(feature_dim, 3, kernel_size=1)
        self.snippet_cls = nn.Linear(feature_dim, num_classes + 1)
        self.snippet_dropout = Dropout(dropout)
        self.channel_dropout = Dropout(dropout)
        self.topk_divisors = topk_divisors

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> ACMOutput:
        """Scores a batch of videos.

        Args:
            features: (B, T, D).
            lengths: (B,) int64, snippets of each video if shorter ones are padded with zeros to T;
                the output beyond the length of a video is meaningless.
        """
        embedding = self.feature_embedding(features)  # (B, T, D)
        attention = F.linear(
            self.attention_dropout(embedding),
            self.att_branch.weight[:, :, 0],
            self.att_branch.bias,
        )
        attention = at_least_float32(attention).softmax(dim=-1)  # (B, T, 3)

        # A snippet dropped before the classifier keeps the bias of the classifier.
        kept = self.snippet_dropout(attention.new_ones((*embedding.shape[:2], 1)))
        evidence = self._evidence(embedding, kept)
        cas_logits = at_least_float32(evidence) * kept + self.snippet_cls.bias  # (B, T, C + 1)

        video_logits, chosen, counts = [], [], []
        for branch, divisor in enumerate(self.topk_divisors):
            # Not `max`, which would fix the length of the video in an exported network.
            most = torch.sym_max(features.shape[1] // divisor, 1)
            padding = None if lengths is None else _padding(lengths, divisor, most, attention)
            branch_attention = attention[..., branch]
            scores = cas_logits * branch_attention[..., None]  # (B, T, C + 1)
            video_logits.append(_top_mean(scores, most, padding))
            chosen.append(_top_mask(branch_attention, most, padding))
            counts.append(most if padding is None else padding.counts)
        sums = at_least_float32(torch.stack(chosen, dim=1).to(embedding) @ embedding)  # (B, 3, D)
        means = [one / count for one, count in zip(sums.unbind(dim=1), counts, strict=True)]
        return ACMOutput(
            embedding,
            attention,
            cas_logits,
            torch.stack(video_logits, dim=1),
            torch.stack(means, dim=1),
        )

    def _evidence(self, embedding: Tensor, kept: Tensor) -> Tensor:
        """(B, T, C + 1) what the classifier finds without its bias, under dropout of channels.

        On the CPU, snippets that are dropped as a whole (`kept` is 0 there) are not computed.
        """
        dropout, weight = self.channel_dropout, self.snippet_cls.weight
        if not isinstance(dropout, Dropout) or not dropout.draws_bits(embedding):
            return F.linear(dropout(embedding), weight)
        rows = kept.flatten().nonzero()[:, 0]  # (K,)
        found = F.linear(dropout.of_rows(embedding.flatten(0, 1), rows), weight)  # (K, C + 1)
        evidence = found.new_zeros(kept.numel(), len(weight)).index_copy(0, rows, found)
        return evidence.unflatten(0, kept.shape[:2])


def at_least_float32(x: Tensor) -> Tensor:
    """Converts half precision to float32, in which softmax and sums are safe; keeps float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Padding(NamedTuple):
    """Where the videos of a batch end, for the K best snippets of a branch.

    Attributes:
        outside: (B, T) bool, True beyond the end of a video.
        counts: (B, 1) int64, number of best snippets that count in each video, at most K.
        unused: (B, K) bool, True for the others.
    """

    outside: Tensor
    counts: Tensor
    unused: Tensor


def _padding(lengths: Tensor, divisor: int, most: int, like: Tensor) -> _Padding:
    """The padding of a batch `like` (B, T, ...) whose videos have these lengths."""
    snippets, ranks = (torch.arange(n, device=like.device) for n in (like.shape[1], most))
    counts = (lengths[:, None] // divisor).clamp(min=1)
    return _Padding(snippets >= lengths[:, None], counts, ranks >= counts)


def _top_mean(scores: Tensor, most: int, padding: _Padding | None) -> Tensor:
    """Mean of the K = `most` largest scores of every class: (B, T, C) -> (B, C)."""
    scores = scores.transpose(1, 2)
    if padding is None:
        return scores.topk(most, dim=-1).values.sum(dim=-1) / most
    best = scores.masked_fill(padding.outside[:, None], -torch.inf).topk(most, dim=-1).values
    return best.masked_fill(padding.unused[:, None], 0).sum(dim=-1) / padding.counts


def _top_mask(scores: Tensor, most: int, padding: _Padding | None) -> Tensor:
    """(B, T), 1 at the K = `most` snippets with the largest scores (B, T), else 0."""
    mask = torch.zeros_like(scores)
    if padding is None:
        return mask.scatter_(1, scores.topk(most, dim=-1).indices, 1.0)
    best = scores.masked_fill(padding.outside, -torch.inf).topk(most, dim=-1).indices  # (B, K)
    return mask.scatter_(1, best, (~padding.unused).to(mask.dtype))
