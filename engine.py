"""The only two loops over data: a training epoch, and prediction.

Letters: B videos of a batch, T snippets, D feature channels, C action classes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from dataset.batches import Batch
from dataset.dataset import Split
from dataset.sampling import uniform_rows
from eval.scores import VideoScores
from models.criteria import Criterion
from models.terms import Terms, weighted_sum
from utils.device import Device
from utils.distributed import ALONE, Processes
from utils.errors import UserError

MAX_SKIPPED_IN_A_ROW = 10
PREDICTED_SNIPPETS = 6000  # in a batch of predictions, including padding; bounds memory
TOTAL, GRADIENT = "total", "gradient"


@dataclass
class EpochReport:
    """Means of an epoch.

    Attributes:
        losses: Mean of every unweighted loss over the steps that counted, and of `total`, their
            weighted sum.
        logged: Likewise, of the values that are only logged.
        skipped: Steps that were skipped because a loss was not finite, by the name of the loss.
    """

    losses: dict[str, float]
    logged: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def metrics(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Every number by its name in the logs; losses both unweighted and weighted."""
        weights = {**weights, TOTAL: 1.0}
        return {
            **{f"loss/{name}": value for name, value in self.losses.items()},
            **{f"weighted/{name}": weights[name] * v for name, v in self.losses.items()},
            **self.logged,
            **{f"skipped steps/{name}": count for name, count in self.skipped.items()},
        }


def train_one_epoch(
    net: nn.Module,
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

    A step with a loss or a gradient that is not finite changes nothing; after ten in a row no
    further step changes anything. Both are decided on the device: the host reads the outcome once,
    at the end of the epoch.

    Each process computes the losses of its shard of a batch; the losses and gradients of all
    shards add up to those of the batch.

    Args:
        net: Network in training, wrapped by `processes.data_parallel`.
        criterion: Maps network output and labels to unweighted losses.
        weights: Weight of every loss in the total.
        batches: Batches of one epoch, on the device.
        split: Training split, on the device.
        optimizer: A fused Adam, which can skip a step on the device.
        device: Device of the network and the data.
        after_step: Called after every step, for a progress bar.
        processes: All have the same network, optimizer and batches.

    Raises:
        UserError: After ten skipped steps in a row, naming the losses that were not finite.
    """
    net.train()
    tally = _Tally(device.device)
    for batch in batches:
        own = batch.shard(processes.rank, processes.world_size)
        features = split.features.gather(own.videos, own.rows)  # (B, T, D)
        labels, batch_labels = split.labels[own.videos], split.labels[batch.videos]
        with device.autocast():
            output = net(features)
            terms = criterion(output, labels, own.rows, batch_labels)
        total = weighted_sum(terms.losses, weights)
        optimizer.zero_grad()
        with processes.contact(also_computes=True):
            # The gradients of the processes are averaged, but those of shards have to be summed.
            (total * (own.weight * processes.world_size)).backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        gradient = torch.stack([g.sum() for g in gradients]).sum()
        found = tally.stacked(terms, total, gradient) * own.weight
        processes.all_reduce(found)
        # Fused Adam skips the step on the device if this is 1.
        optimizer.found_inf = tally.add(found)  # type: ignore[attr-defined]
        optimizer.step()
        after_step()
    return tally.report()


class _Tally:
    """Sums of the losses and counts of those that were not finite, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self.losses: list[str] = []
        self.logged: list[str] = []
        self.sums = torch.zeros((), device=device)
        self.not_finite = torch.zeros((), device=device)
        self.steps = torch.zeros((), device=device)
        self.streak = torch.zeros((), device=device)

    def stacked(self, terms: Terms, total: Tensor, gradient: Tensor) -> Tensor:
        """The numbers of a step as one tensor (K,), those that are only logged last."""
        self.losses, self.logged = [*terms.losses, TOTAL, GRADIENT], list(terms.logged)
        losses = torch.stack([*terms.losses.values(), total, gradient])
        logged = [value.to(losses) for value in terms.logged.values()]
        values = torch.cat([losses, torch.stack(logged)]) if logged else losses
        return values.detach().float()

    def add(self, values: Tensor) -> Tensor:
        """Adds a step; returns 1 (a float scalar) if it must be skipped, else 0."""
        finite = values[: len(self.losses)].isfinite()
        skip = (~finite.all()) | (self.streak >= MAX_SKIPPED_IN_A_ROW)
        self.sums = self.sums + torch.where(skip, 0.0, values)
        self.not_finite = self.not_finite + ~finite
        self.steps += ~skip
        self.streak = torch.where(skip, self.streak + 1, 0.0)
        return skip.float()

    def report(self) -> EpochReport:
        """The means of the epoch; the only moment at which the host waits for the device."""
        if not self.losses:
            return EpochReport({})
        means = (self.sums / self.steps.clamp(min=1)).tolist()
        mean = dict(zip([*self.losses, *self.logged], means, strict=True))
        counts = zip(self.losses, self.not_finite.int().tolist(), strict=True)
        bad = {name: count for name, count in counts if count}
        # One loss that is not finite spoils the total and the gradient, so these are named only if
        # no single loss can be.
        culprits = {n: c for n, c in bad.items() if n not in (TOTAL, GRADIENT)} or bad
        if self.streak.item() >= MAX_SKIPPED_IN_A_ROW:
            named = ", ".join(f"{name!r} ({count} times)" for name, count in culprits.items())
            raise UserError(
                f"{MAX_SKIPPED_IN_A_ROW} consecutive steps had a non-finite loss: {named}. "
                "Lower --lr or the weight of that loss, and check the features; the last "
                "checkpoint is intact"
            )
        losses = {name: mean[name] for name in self.losses if name != GRADIENT}
        return EpochReport(losses, {name: mean[name] for name in self.logged}, culprits)


@torch.inference_mode()
def predict(
    net: nn.Module,
    split: Split,
    num_snippets: int,
    device: Device,
    after_videos: Callable[[int], object] = lambda count: None,
    batch_snippets: int = PREDICTED_SNIPPETS,
    processes: Processes = ALONE,
) -> list[VideoScores]:
    """Scores every video of a split, in batches of videos of similar length.

    The batches do not depend on the number of processes, so neither do the bits of the scores.

    Args:
        net: Network, put into evaluation mode.
        split: Split on the device.
        num_snippets: Maximum number of snippets of a video, evenly spaced.
        device: Device of the network and the data.
        after_videos: Called with the number of videos just scored, for a progress bar.
        batch_snippets: Maximum number of snippets in a batch, including padding; bounds memory.
        processes: Each scores some of the batches.

    Returns:
        Scores in the order of the split; empty in all processes but the main one.
    """
    net.eval()
    rows = [uniform_rows(length, num_snippets) for length in split.features.lengths.tolist()]
    groups = _similar_lengths([len(r) for r in rows], batch_snippets)
    own: dict[int, VideoScores] = {}
    for start in range(0, len(groups), processes.world_size):
        at_once = groups[start : start + processes.world_size]  # one per process
        if processes.rank < len(at_once):
            group = at_once[processes.rank]
            scored = _score(net, split, group, [rows[i] for i in group], device)
            own.update(zip(group, scored, strict=True))
        after_videos(sum(map(len, at_once)))
    scores = {i: video for part in processes.gather(own) for i, video in part.items()}
    return [scores[i] for i in sorted(scores)]


def _score(
    net: nn.Module, split: Split, group: list[int], rows: list[Tensor], device: Device
) -> list[VideoScores]:
    """Scores some videos of a split, each at these rows of its feature file, in one batch."""
    lengths = torch.tensor([len(r) for r in rows])
    videos = torch.tensor(group).to(device.device)
    index = pad_sequence(rows, batch_first=True).to(device.device)
    features = split.features.gather(videos, index)
    inside = torch.arange(index.shape[1]) < lengths[:, None]
    features *= inside.to(device.device)[..., None]
    with device.autocast():
        scores = net(features, lengths.to(device.device)).video_scores()
    cas, attention, class_scores = (tensor.cpu().numpy() for tensor in scores[:3])
    branches = None if scores.branch_attention is None else scores.branch_attention.cpu().numpy()
    return [
        VideoScores(
            split.videos[i].name,
            int(split.features.lengths[i]),
            cas[row, :n],
            attention[row, :n],
            class_scores[row],
            split.spans[i] if split.spans else None,
            None if branches is None else branches[row, :n],
        )
        for row, (i, n) in enumerate(zip(group, lengths.tolist(), strict=True))
    ]


def _similar_lengths(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Groups of indices by falling length, each with at most `most` snippets including padding."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= most:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
