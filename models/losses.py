"""The losses of ACM-Net, each an unweighted scalar with a name.

Letters: B videos, T snippets, D feature channels, C action classes.
"""

import torch
from torch import Tensor

from models.acmnet import ACMOutput, at_least_float32
from models.branches import BACKGROUND, BRANCHES, CONTEXT, INSTANCE
from models.terms import Terms


def acm_losses(
    output: ACMOutput, labels: Tensor, num_videos: int, feat_margin: float = 50.0
) -> Terms:
    """The six losses of ACM-Net (arXiv 2104.02967, section 3.4), each a mean over the videos.

    Args:
        output: Of B videos.
        labels: (B, C) float, 1 where the class occurs in the video.
        num_videos: Normalizer: videos of the whole batch, of which these B may be a shard. The
            losses of the shards add up to those of the batch.
        feat_margin: Target margin between the feature norms of two branches.

    Returns:
        Losses `instance`, `context`, `background` (cross-entropies of the video scores), `guide`
        (class activation sequence against instance attention), `feature` (norms of the branch
        features), `sparse` (amount of attention, also averaged over its two branches). Logged:
        `norm/<branch>`, the mean norm of the features of each branch.
    """
    norms = at_least_float32(output.branch_features).norm(dim=-1)  # (B, 3)
    instance_norm, context_norm, background_norm = norms.T
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
    per_video = {
        "instance": _cross_entropy(log_scores[:, INSTANCE], torch.cat([labels, none], dim=1)),
        "context": _cross_entropy(log_scores[:, CONTEXT], torch.cat([labels, one], dim=1)),
        "background": _cross_entropy(
            log_scores[:, BACKGROUND], torch.cat([torch.zeros_like(labels), one], dim=1)
        ),
        "guide": guide,
        "feature": feature,
        "sparse": action_attention / 2,
    }
    mean_norms = norms.detach().sum(dim=0) / num_videos
    return Terms(
        {name: values.sum() / num_videos for name, values in per_video.items()},
        {f"norm/{name}": norm for name, norm in zip(BRANCHES, mean_norms, strict=True)},
    )


def _cross_entropy(log_scores: Tensor, targets: Tensor) -> Tensor:
    """(B,) cross-entropy with targets (B, C + 1) that are first made to sum to 1."""
    targets = targets / targets.sum(dim=1, keepdim=True)
    return -(targets * log_scores).sum(dim=1)
