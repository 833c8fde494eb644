"""Full-size networks in training on random features, in the loop of the program.

Letters: B videos of a batch, T snippets, D feature channels, C action classes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.measuring import Clock
from benchmarks.random_data import random_split
from build import build_criterion, build_optimizer, loss_weights
from config.model_config import Config
from dataset.batches import Batch
from dataset.dataset import Split
from dataset.features.store import FeatureStore
from engine import train_one_epoch
from models.acmnet import ACMNet, ACMOutput
from models.candidates import (
    SnippetSequence,
    action_candidates,
    background_candidates,
    gather_snippets,
)
from models.contrastive import (
    count_pairs,
    difference_of_means,
    fsd_scores,
    halves,
    lcs_scores,
    same_class,
)
from models.ftclnet import FTCLNet
from models.terms import Terms
from utils.device import Device

SNIPPETS, CHANNELS, CLASSES = 750, 2048, 20
STORED_VIDEOS = 40  # too many to stay in a cache
WARM_UP_ROUNDS = 3
TITLES = {False: "ACM-Net, 16 videos", True: "FTCL-Net, 16 pairs"}  # by `--ftcl`
# "other" is the labels, the weighted sum, and what happens once per epoch.
PARTS = ("gather", "forward", "losses", "backward, check", "optimizer", "other")
CONTRASTIVE = "contrastive: "  # prefix of the parts of the contrastive losses


def convolution_operations(config: Config, snippets: int = SNIPPETS) -> int:
    """Floating-point operations of the convolution in one training step.

    They are the matrix products of the forward pass and of the gradient of the weights.
    """
    inputs = config.batch_size * (2 if config.ftcl else 1) * snippets
    return 2 * (2 * inputs * CHANNELS * CHANNELS * 3)


@dataclass(frozen=True)
class _TimedStore(FeatureStore):
    """Features whose gathering can be timed."""

    part: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext()

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        with self.part("gather"):
            return super().gather(videos, rows)


class Trainer:
    """A network in training, whose steps can be timed as a whole or in parts.

    Args:
        config: Settings of the stage.
        device: Device of the training.
        snippets: Number of snippets of every video (T).
        classes: Number of classes (C).

    Attributes:
        clock: Times of the steps and of their parts.
    """

    def __init__(
        self, config: Config, device: Device, snippets: int = SNIPPETS, classes: int = CLASSES
    ) -> None:
        torch.manual_seed(0)
        self.config, self.device, self.clock = config, device, Clock(device)
        self.steps_per_round = 1 if device.on_cpu else 20  # the host waits after each round
        self.in_parts = False
        self.last: tuple[Tensor, Tensor, Tensor] | None = None  # embedding, attention, labels
        self.snippets = snippets
        self.split = self._random_split(classes)
        net: ACMNet = FTCLNet(CHANNELS, classes) if config.ftcl else ACMNet(CHANNELS, classes)
        self.net = net.to(device.device).train()
        self.forward = net.forward
        net.forward = self._timed_forward  # type: ignore[method-assign]
        self.criterion, self.weights = build_criterion(config, net), loss_weights(config)
        self.optimizer = build_optimizer(config, net)
        self._time_optimizer()

    def _random_split(self, classes: int) -> Split:
        """Videos of equal length and of two classes, on the device."""
        lengths = torch.full((STORED_VIDEOS,), self.snippets)
        labels = torch.eye(classes)[torch.arange(STORED_VIDEOS) % 2]
        split = random_split(lengths, CHANNELS, labels, self.device.storage_dtype)
        split = split.to(self.device.device)
        return replace(split, features=_TimedStore(**vars(split.features), part=self._part))

    def batches(self, steps: int) -> list[Batch]:
        """Random batches, one per step."""
        return [self.batch() for _ in range(steps)]

    def batch(self) -> Batch:
        """A batch of all snippets of random videos."""
        unit = 2 if self.config.ftcl else 1
        videos = torch.randint(STORED_VIDEOS, (self.config.batch_size * unit,))
        rows = torch.arange(self.snippets).expand(len(videos), -1)
        return Batch(videos, rows, unit).to(self.device.device)

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T, D) and labels (B, C) of a batch."""
        return self.split.features.gather(batch.videos, batch.rows), self.split.labels[batch.videos]

    def warm_up(self) -> "Trainer":
        """Trains for some steps that are not timed."""
        for _ in range(WARM_UP_ROUNDS):
            self.step()
        self.clock.times.clear()
        return self

    def train(self, batches: list[Batch]) -> None:
        """Trains on the batches as the program does, then waits for the device."""
        with self.clock.part("round"):
            train_one_epoch(
                self.net,
                self._timed_criterion,
                self.weights,
                batches,
                self.split,
                self.optimizer,
                self.device,
                lambda: None,
            )

    def step(self) -> float:
        """Takes one step, on a GPU a round of them; returns the milliseconds per step."""
        self.train(self.batches(self.steps_per_round))
        milliseconds = self.clock.times["round"][-1] / self.steps_per_round
        self.clock.times["step"].append(milliseconds)
        return milliseconds

    def step_in_parts(self) -> None:
        """Takes one step that waits for the device after every part, and times the parts."""
        batches = self.batches(1)
        self.in_parts = True
        self.train(batches)
        self.in_parts = False
        times = self.clock.times
        times["step in parts"].append(times["round"][-1])
        times["other"].append(times["round"][-1] - sum(times[name][-1] for name in PARTS[:-1]))
        if self.config.ftcl and self.last:
            self._time_contrastive_losses(*self.last)
        self.last = None

    def _part(self, name: str) -> AbstractContextManager[None]:
        return self.clock.part(name) if self.in_parts else nullcontext()

    def _timed_forward(self, features: Tensor, lengths: Tensor | None = None) -> ACMOutput:
        with self._part("forward"):
            output: ACMOutput = self.forward(features, lengths)
        return output

    def _timed_criterion(
        self, output: ACMOutput, labels: Tensor, rows: Tensor, batch_labels: Tensor | None = None
    ) -> Terms:
        if self.in_parts:
            self.last = output.embedding.detach(), output.attention.detach(), labels
        with self._part("losses"):
            return self.criterion(output, labels, rows, batch_labels)

    def _time_optimizer(self) -> None:
        """Also times what lies between its two calls: the backward pass and the check for NaN."""
        zero_grad, step, backward = self.optimizer.zero_grad, self.optimizer.step, ExitStack()

        def begin_backward() -> None:
            zero_grad()
            backward.enter_context(self._part("backward, check"))

        def end_backward_and_step() -> None:
            backward.close()
            with self._part("optimizer"):
                step()

        self.optimizer.zero_grad = begin_backward  # type: ignore[method-assign, assignment]
        self.optimizer.step = end_backward_and_step  # type: ignore[method-assign, assignment]

    def _time_contrastive_losses(
        self, embedding: Tensor, attention: Tensor, labels: Tensor
    ) -> None:
        """Times each piece of the contrastive losses by itself, forward and backward."""
        assert isinstance(self.net, FTCLNet)
        config, part = self.config, self.clock.part
        embedding.requires_grad_()
        positive = same_class(labels)
        counts = count_pairs(positive)
        with self.device.autocast():
            with part(f"{CONTRASTIVE}candidates"):
                lcs, action, background = gather_snippets(
                    embedding,
                    action_candidates(attention, config.lcs_len),
                    action_candidates(attention, config.fsd_len),
                    background_candidates(attention, config.fsd_len, config.background),
                )
            with part(f"{CONTRASTIVE}FSD"):
                first, second = halves(action)
                _, other = halves(background)
                partner = second.snippets.where(positive[:, None, None], other.snippets)
                partners = SnippetSequence(partner, second.lengths)
                scores = fsd_scores(first, partners, self.net.project, config.gamma)
                fsd = difference_of_means(scores, positive, counts)
            with part(f"{CONTRASTIVE}LCS"):
                found = lcs_scores(*halves(lcs), config.lcs_threshold)
                total = fsd + difference_of_means(found.score, positive, counts)
        with part(f"{CONTRASTIVE}backward"):
            torch.autograd.grad(total, embedding)
