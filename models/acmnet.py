"""ACM-Net: every snippet is attended as instance, context or background of an action.

Letters: B videos, T snippets, D feature channels, C action classes, K top-k snippets.
Source: ACM-Net (arXiv 2104.02967), sections 3.2 and 3.3; parameter names are those of the released
checkpoints.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dropout import Dropout
from models.temporal_conv import TemporalConv

INSTANCE, CONTEXT, BACKGROUND = range(3)  # the branches, in the order of every tensor


class ACMOutput(NamedTuple):
    """What the network says about a batch of videos.

    Attributes:
        embedding: (B, T, D) snippets after the embedding, without dropout.
        attention: (B, T, 3) probabilities of the branches, summing to 1 in every snippet.
        cas_logits: (B, T, C + 1) class activation sequence before attention, background last; that
            of branch b is `cas_logits * attention[..., b:b + 1]`.
        video_logits: (B, 3, C + 1) class scores of the video in each branch, before the softmax.
        branch_features: (B, 3, D) mean embedding of the snippets that attend a branch most.
    """

    embedding: Tensor
    attention: Tensor
    cas_logits: Tensor
    video_logits: Tensor
    branch_features: Tensor

    def branch_cas(self, branch: int) -> Tensor:
        """(B, T, C + 1) class activation sequence of one branch, softmax over the classes."""
        return (self.cas_logits * self.attention[..., branch : branch + 1]).softmax(dim=-1)


class ACMNet(nn.Module):
    """The action-context-modeling network.

    Args:
        feature_dim: D, channels of a snippet feature.
        num_classes: C.
        dropout: probability of dropping a whole snippet, and then a channel, before the classifier.
        topk_divisors: for instance, context and background: the scores of the T // divisor best
            snippets (at least one) are averaged.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        dropout: float = 0.7,
        topk_divisors: tuple[int, int, int] = (8, 3, 3),
    ) -> None:
        super().__init__()
        self.feature_embedding = nn.Sequential(
            TemporalConv(feature_dim, feature_dim, kernel_size=3), nn.ReLU()
        )
        self.att_branch = nn.Conv1d(feature_dim, 3, kernel_size=1)
        self.snippet_cls = nn.Linear(feature_dim, num_classes + 1)
        self.snippet_dropout = Dropout(dropout)
        self.channel_dropout = Dropout(dropout)
        self.topk_divisors = topk_divisors

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> ACMOutput:
        """Scores a batch of videos.

        Args:
            features: (B, T, D).
            lengths: (B,) int64, snippets of each video where shorter ones are padded with zeros to
                T; the rows of the output beyond a video's length mean nothing.
        """
        embedding = self.feature_embedding(features)  # (B, T, D)
        attention = F.linear(embedding, self.att_branch.weight[:, :, 0], self.att_branch.bias)
        attention = at_least_float32(attention).softmax(dim=-1)  # (B, T, 3)

        # Dropping a whole snippet before the classifier leaves the classifier's bias of it.
        kept = self.snippet_dropout(attention.new_ones((*embedding.shape[:2], 1)))
        evidence = F.linear(self.channel_dropout(embedding), self.snippet_cls.weight)
        cas_logits = at_least_float32(evidence) * kept + self.snippet_cls.bias  # (B, T, C + 1)

        num_snippets = features.shape[1]
        if lengths is None:
            lengths = torch.full((len(features),), num_snippets, device=features.device)
        outside = torch.arange(num_snippets, device=features.device) >= lengths[:, None]  # (B, T)
        video_logits, chosen, sizes = [], [], []
        for branch, divisor in enumerate(self.topk_divisors):
            most = max(num_snippets // divisor, 1)
            counts = (lengths // divisor).clamp(min=1)
            branch_attention = attention[..., branch]
            scores = cas_logits * branch_attention[..., None]  # (B, T, C + 1)
            video_logits.append(_top_mean(scores, outside, most, counts))
            chosen.append(_top_mask(branch_attention, outside, most, counts))
            sizes.append(counts)
        sums = torch.stack(chosen, dim=1).to(embedding) @ embedding  # (B, 3, D)
        return ACMOutput(
            embedding,
            attention,
            cas_logits,
            torch.stack(video_logits, dim=1),
            at_least_float32(sums) / torch.stack(sizes, dim=1)[..., None],
        )


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32, where softmax and sums are safe; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _top_mean(scores: Tensor, outside: Tensor, most: int, counts: Tensor) -> Tensor:
    """Mean of the largest scores of every class: (B, T, C) -> (B, C).

    `counts` (B,) are averaged in each video, `most` is the largest of them.
    """
    scores = scores.masked_fill(outside[..., None], -torch.inf)
    best = scores.transpose(1, 2).topk(most, dim=-1).values  # (B, C, K)
    used = torch.arange(most, device=scores.device) < counts[:, None]  # (B, K)
    return best.masked_fill(~used[:, None], 0).sum(dim=-1) / counts[:, None]


def _top_mask(scores: Tensor, outside: Tensor, most: int, counts: Tensor) -> Tensor:
    """(B, T), 1 at the `counts` (B,) snippets of the largest scores (B, T), else 0."""
    best = scores.masked_fill(outside, -torch.inf).topk(most, dim=-1).indices  # (B, K)
    used = torch.arange(most, device=scores.device) < counts[:, None]  # (B, K)
    return torch.zeros_like(scores).scatter_(1, best, used.to(scores.dtype))
