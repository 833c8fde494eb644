"""The only two loops over data: one training epoch, and prediction.

Letters: B videos of a batch, T snippets, D feature channels, C action classes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dataset.batches import Batch
from dataset.layouts import Split
from dataset.sampling import uniform_rows
from eval.scores import VideoScores
from models.acmnet import INSTANCE, ACMNet
from models.criteria import Criterion, Terms
from models.losses import weighted_sum
from utils.device import Device
from utils.distributed import ALONE, Processes
from utils.errors import UserError

MOST_SKIPPED_IN_A_ROW = 10
TOTAL, GRADIENT = "total", "gradient"


@dataclass
class EpochReport:
    """What happened in an epoch.

    Attributes:
        losses: mean of every unweighted term over the steps that counted, and of `total`.
        watched: likewise, of what is not minimised.
        skipped: steps left out because a term was not finite, by the name of the term.
    """

    losses: dict[str, float]
    watched: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def metrics(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Every number by the name it has in logs, losses as they are and weighted."""
        return {
            **{f"loss/{name}": value for name, value in self.losses.items()},
            **{f"weighted/{n}": weights.get(n, 1.0) * value for n, value in self.losses.items()},
            **self.watched,
            **{f"skipped steps/{name}": count for name, count in self.skipped.items()},
        }


def train_one_epoch(
    net: ACMNet,
    criterion: Criterion,
    weights: Mapping[str, float],
    batches: Iterable[Batch],
    split: Split,
    optimizer: torch.optim.Optimizer,
    device: Device,
    after_step: Callable[[], object],
    processes: Processes = ALONE,
) -> EpochReport:
    """Trains on every batch once.

    A step with a loss or gradient that is not finite changes nothing; after ten in a row no step
    changes anything any more. Both happen on the device: the host reads it once, at the end.

    Of every batch each process takes its share; what it finds is added to what the others found.
    The gradients are added after the backward pass, not during it as DistributedDataParallel does:
    that of the convolution, which is most of them, is the last to be known anyway.

    Args:
        net: is trained.
        criterion: gives the unweighted terms of the loss.
        weights: of the terms in the total; 1 where none is given.
        batches: of one epoch, on the device.
        split: the training split, on the device.
        optimizer: a fused Adam, which skips a step on the device.
        device: where everything is.
        after_step: is called once a step, for a progress bar.
        processes: all have the same network, optimizer and batches.

    Raises:
        UserError: after ten skipped steps in a row, naming the terms that were not finite.
    """
    net.train()
    tally = _Tally(device.device)
    for batch in batches:
        own = batch.shard(processes.rank, processes.world_size)
        features = split.features.gather(own.videos, own.rows)  # (B, T, D)
        labels, batch_labels = split.labels[own.videos], split.labels[batch.videos]
        with device.autocast():
            terms = criterion(net, features, labels, own.rows, batch_labels)
        total = weighted_sum(terms.losses, weights)
        optimizer.zero_grad()
        (total * own.weight).backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        gradient = torch.stack([g.sum() for g in gradients]).sum()
        found = tally.stacked(terms, total, gradient) * own.weight
        processes.all_reduce([*gradients, found])
        # Fused Adam leaves out the step on the device where this is 1.
        optimizer.found_inf = tally.add(found)  # type: ignore[attr-defined]
        optimizer.step()
        after_step()
    return tally.report()


class _Tally:
    """Sums of the terms and counts of what was not finite, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self.losses: list[str] = []
        self.watched: list[str] = []
        self.sums = torch.zeros((), device=device)
        self.not_finite = torch.zeros((), device=device)
        self.steps = torch.zeros((), device=device)
        self.streak = torch.zeros((), device=device)

    def stacked(self, terms: Terms, total: Tensor, gradient: Tensor) -> Tensor:
        """The numbers of a step as one tensor (K,), what is only watched last."""
        self.losses, self.watched = [*terms.losses, TOTAL, GRADIENT], list(terms.watched)
        minimised = torch.stack([*terms.losses.values(), total, gradient])
        watched = [value.to(minimised) for value in terms.watched.values()]
        values = torch.cat([minimised, torch.stack(watched)]) if watched else minimised
        return values.detach().float()

    def add(self, values: Tensor) -> Tensor:
        """Counts a step in; returns 1 (a float scalar) if it must be skipped, else 0."""
        finite = values[: len(self.losses)].isfinite()
        skip = (~finite.all()) | (self.streak >= MOST_SKIPPED_IN_A_ROW)
        self.sums = self.sums + torch.where(skip, 0.0, values)
        self.not_finite = self.not_finite + ~finite
        self.steps += ~skip
        self.streak = torch.where(skip, self.streak + 1, 0.0)
        return skip.float()

    def report(self) -> EpochReport:
        """The one moment at which the host waits for the device."""
        if not self.losses:
            return EpochReport({})
        means = (self.sums / self.steps.clamp(min=1)).tolist()
        mean = dict(zip([*self.losses, *self.watched], means, strict=True))
        counts = zip(self.losses, self.not_finite.int().tolist(), strict=True)
        bad = {name: count for name, count in counts if count}
        # A bad term spoils the total and the gradient; these are named only if nothing else is.
        culprits = {n: c for n, c in bad.items() if n not in (TOTAL, GRADIENT)} or bad
        if self.streak.item() >= MOST_SKIPPED_IN_A_ROW:
            named = ", ".join(f"{name!r} ({count} times)" for name, count in culprits.items())
            raise UserError(
                f"{MOST_SKIPPED_IN_A_ROW} steps in a row had a loss that is not finite; "
                f"the terms: {named}. Lower --lr or the weight of that term, and look at the "
                "features; the last checkpoint is intact"
            )
        losses = {name: mean[name] for name in self.losses if name != GRADIENT}
        return EpochReport(losses, {name: mean[name] for name in self.watched}, culprits)


@torch.inference_mode()
def predict(
    net: ACMNet,
    split: Split,
    num_snippets: int,
    device: Device,
    after_videos: Callable[[int], object] = lambda count: None,
    batch_snippets: int = 6000,
    processes: Processes = ALONE,
) -> list[VideoScores]:
    """Scores every video of a split, videos of similar length together.

    The groups of videos are those of one process, so the scores have the same bits.

    Args:
        net: is put into evaluation mode.
        split: on the device.
        num_snippets: the most snippets used of a video, evenly spaced.
        device: where everything is.
        after_videos: is called with the number of videos just done, for a progress bar.
        batch_snippets: the most snippets in a batch, padding included; bounds the memory.
        processes: each scores its share.

    Returns:
        In the order of the split; empty in all processes but the main one.
    """
    net.eval()
    rows = [uniform_rows(length, num_snippets) for length in split.features.lengths.tolist()]
    groups = _similar_lengths([len(r) for r in rows], batch_snippets)
    own: dict[int, VideoScores] = {}
    for start in range(0, len(groups), processes.world_size):
        at_once = groups[start : start + processes.world_size]  # one for each process
        if processes.rank < len(at_once):
            group = at_once[processes.rank]
            scored = _score(net, split, group, [rows[i] for i in group], device)
            own.update(zip(group, scored, strict=True))
        after_videos(sum(map(len, at_once)))
    scores = {i: video for part in processes.gather(own) for i, video in part.items()}
    return [scores[i] for i in sorted(scores)]


def _score(
    net: ACMNet, split: Split, group: list[int], rows: list[Tensor], device: Device
) -> list[VideoScores]:
    """Scores some videos of a split in one batch, of each these rows."""
    lengths = torch.tensor([len(r) for r in rows])
    videos = torch.tensor(group).to(device.device)
    index = pad_sequence(rows, batch_first=True).to(device.device)
    features = split.features.gather(videos, index)
    inside = torch.arange(index.shape[1]) < lengths[:, None]
    features *= inside.to(device.device)[..., None]
    with device.autocast():
        output = net(features, lengths.to(device.device))
    cas = output.branch_cas(INSTANCE).cpu().numpy()
    attention = output.attention[..., INSTANCE].cpu().numpy()
    class_scores = output.video_logits[:, INSTANCE].softmax(dim=-1).cpu().numpy()
    return [
        VideoScores(
            split.videos[i].name,
            int(split.features.lengths[i]),
            cas[row, :n],
            attention[row, :n],
            class_scores[row],
        )
        for row, (i, n) in enumerate(zip(group, lengths.tolist(), strict=True))
    ]


def _similar_lengths(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Groups of indices, by falling length, each with at most `most` snippets when padded."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= most:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
