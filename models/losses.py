"""The terms of the loss, each an unweighted scalar with a name; weights are applied in one place.

Letters: B videos, T snippets, D feature channels, C action classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.acmnet import BACKGROUND, CONTEXT, INSTANCE, ACMOutput, at_least_float32

Losses = dict[str, Tensor]


def acm_losses(output: ACMOutput, labels: Tensor, feat_margin: float = 50.0) -> Losses:
    """The six terms of ACM-Net (arXiv 2104.02967, section 3.4).

    Args:
        output: of B videos.
        labels: (B, C) float, 1 where the class occurs in the video.
        feat_margin: wanted distance between the feature norms of two branches.

    Returns:
        Scalars `instance`, `context`, `background` (cross-entropies of the video scores), `guide`
        (instance attention against the class activation sequence), `feature` (norms of the branch
        features), `sparse` (amount of attention), each a mean over the videos.
    """
    instance_norm, context_norm, background_norm = (
        at_least_float32(output.branch_features).norm(dim=-1).T
    )
    feature = (
        torch.relu(feat_margin - instance_norm + context_norm)
        + torch.relu(feat_margin - context_norm + background_norm)
        + background_norm
    ).square()
    actionness = 1 - output.branch_cas(INSTANCE)[..., -1]  # (B, T)
    guide = (actionness - output.attention[..., INSTANCE].detach()).abs().sum(dim=1)
    action_attention = output.attention[..., :BACKGROUND].sum(dim=1)  # (B, 2): instance, context
    none, one = torch.zeros_like(labels[:, :1]), torch.ones_like(labels[:, :1])
    log_scores = output.video_logits.log_softmax(dim=-1)  # (B, 3, C + 1)
    return {
        "instance": _cross_entropy(log_scores[:, INSTANCE], torch.cat([labels, none], dim=1)),
        "context": _cross_entropy(log_scores[:, CONTEXT], torch.cat([labels, one], dim=1)),
        "background": _cross_entropy(
            log_scores[:, BACKGROUND], torch.cat([torch.zeros_like(labels), one], dim=1)
        ),
        "guide": guide.mean(),
        "feature": feature.mean(),
        "sparse": action_attention.mean(),
    }


def weighted_sum(losses: Losses, weights: Mapping[str, float]) -> Tensor:
    """The total that is minimised; a term without a weight counts once."""
    weighted = [weights[n] * loss if n in weights else loss for n, loss in losses.items()]
    return torch.stack(weighted).sum()


def _cross_entropy(log_scores: Tensor, targets: Tensor) -> Tensor:
    """Mean over B of the cross-entropy with targets (B, C + 1) that are first made to sum to 1."""
    targets = targets / targets.sum(dim=1, keepdim=True)
    return -(targets * log_scores).sum(dim=1).mean()
