"""A training step of both stages in the manner of the released code, as plain as possible.

The library's convolution on transposed features, dropout over everything, every score and every
attention sorted as a whole, the activation sequences of all branches and the candidates of both
contrasts always, the videos of a pair one after the other, alignments cell by cell. The truth for
the losses and gradients of the step and, in `benchmarks/training.py`, what it is timed against.

Parameters have the names of `models/`, so that weights can be copied over.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference_alignment import slow_fsd, slow_lcs

DIVISORS = (8, 3, 3)  # instance, context, background
FSD_LENGTH, LCS_LENGTH, GAMMA, THRESHOLD, MARGIN = 5, 30, 0.1, 0.92, 50.0


@dataclass
class SlowOutput:
    """Of one video each; per branch where there are lists of three."""

    attention: Tensor  # (B, T, 3)
    sequences: list[Tensor]  # (B, T, C + 1) softmax over the classes
    scores: list[Tensor]  # (B, C + 1) of the video, softmax over the classes
    features: list[Tensor]  # (B, D)
    lcs: Tensor  # (B, 30, D)
    action: Tensor  # (B, 5, P)
    background: Tensor  # (B, 5, P)


class SlowNet(nn.Module):
    """FTCL-Net; its ACM-Net is the part without `feature_trans`."""

    def __init__(self, feature_dim: int, num_classes: int, dropout: float, fc_dim: int) -> None:
        super().__init__()
        self.feature_embedding = nn.Sequential(
            nn.Conv1d(feature_dim, feature_dim, kernel_size=3, padding=1), nn.ReLU()
        )
        self.att_branch = nn.Conv1d(feature_dim, 3, kernel_size=1)
        self.snippet_cls = nn.Linear(feature_dim, num_classes + 1)
        self.feature_trans = nn.Linear(feature_dim, fc_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> SlowOutput:
        """(B, T, D), of one video of each pair or of all videos."""
        embedding = self.feature_embedding(features.permute(0, 2, 1))
        attention = self.att_branch(embedding).permute(0, 2, 1).softmax(dim=2)
        embedding = embedding.permute(0, 2, 1)
        mask = self.dropout(torch.ones_like(embedding[..., :1]))
        logits = self.snippet_cls(self.dropout(embedding * mask))
        sequences, scores, means = [], [], []
        for branch, divisor in enumerate(DIVISORS):
            count = max(features.shape[1] // divisor, 1)
            weighted = logits * attention[..., branch : branch + 1]
            falling = weighted.sort(dim=1, descending=True).values[:, :count]
            scores.append(falling.mean(dim=1).softmax(dim=1))
            sequences.append(weighted.softmax(dim=2))
            best = attention[..., branch].argsort(dim=1, descending=True)[:, :count]
            means.append(_rows(embedding, best).mean(dim=1))
        ranked = attention[..., 0].argsort(dim=1, descending=True)
        lcs = ranked[:, :LCS_LENGTH].sort(dim=1).values
        action = ranked[:, :FSD_LENGTH].sort(dim=1).values
        background = ranked[:, FSD_LENGTH : 2 * FSD_LENGTH].sort(dim=1).values
        return SlowOutput(
            attention,
            sequences,
            scores,
            means,
            _rows(embedding, lcs),
            self.feature_trans(_rows(embedding, action)),
            self.feature_trans(_rows(embedding, background)),
        )


def slow_acm_losses(output: SlowOutput, labels: Tensor) -> dict[str, Tensor]:
    """The six terms for labels (B, C)."""
    absent, present = labels.new_zeros(len(labels), 1), labels.new_ones(len(labels), 1)
    targets = [
        torch.cat([labels, absent], dim=1),
        torch.cat([labels, present], dim=1),
        torch.cat([torch.zeros_like(labels), present], dim=1),
    ]
    entropies = [
        -(t / t.sum(dim=1, keepdim=True) * (p + 1e-10).log()).sum(dim=1).mean()
        for t, p in zip(targets, output.scores, strict=True)
    ]
    norms = [feature.norm(dim=1) for feature in output.features]
    apart = F.relu(MARGIN - norms[0] + norms[1]) + F.relu(MARGIN - norms[1] + norms[2])
    guide = (1 - output.sequences[0][..., -1] - output.attention[..., 0].detach()).abs()
    return {
        "instance": entropies[0],
        "context": entropies[1],
        "background": entropies[2],
        "guide": guide.sum(dim=1).mean(),
        "feature": ((apart + norms[2]) ** 2).mean(),
        "sparse": output.attention[..., :2].sum(dim=1).mean(),
    }


def slow_ftcl_losses(
    net: SlowNet, first: Tensor, second: Tensor, labels: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """The terms of pairs of videos (N, T, D) with labels (N, C)."""
    one, other = net(first), net(second)
    terms = [
        slow_acm_losses(output, label) for output, label in zip((one, other), labels, strict=True)
    ]
    losses = {name: (terms[0][name] + terms[1][name]) / 2 for name in terms[0]}
    fsd: dict[bool, list[Tensor]] = {True: [], False: []}
    lcs: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, (mine, theirs) in enumerate(zip(*labels, strict=True)):
        alike = bool((mine * theirs).sum() > 0)
        partner = other.action[i] if alike else other.background[i]
        match, gap = (
            _cosines(x, y)[None]
            for x, y in zip(one.action[i].chunk(2, dim=1), partner.chunk(2, dim=1), strict=True)
        )
        fsd[alike].append(slow_fsd(match, gap, gap, GAMMA)[0])
        lcs[alike].append(slow_lcs(_cosines(one.lcs[i], other.lcs[i])[None], THRESHOLD)[0])
    for name, scores in (("fsd", fsd), ("lcs", lcs)):
        sides = {alike: torch.stack(found).mean() for alike, found in scores.items() if found}
        none = losses["sparse"].new_zeros(())
        losses[name] = sides.get(False, none) - sides.get(True, none)
    return losses


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """The rows index (B, K) of (B, T, D)."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
