"""Networks of the full size in training on random rows, by the loop of the program."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.measuring import Clock
from build import build_criterion, build_optimizer, loss_weights
from config.model_config import Config
from dataset.batches import Batch
from dataset.features.store import FeatureStore
from dataset.layouts import Split
from engine import train_one_epoch
from models.acmnet import ACMNet, ACMOutput
from models.contrastive import difference_of_means, fsd_scores, halves, lcs_scores, same_class
from models.criteria import Terms
from models.ftclnet import FTCLNet, Sequence, action_candidates, background_candidates, take
from utils.device import Device

SNIPPETS, CHANNELS, CLASSES = 750, 2048, 20
STORED_VIDEOS = 40  # enough rows not to stay in a cache
WARM_UP = 3  # rounds of steps before any is looked at
# Of a step; other are labels, the weighted sum, and what an epoch does once.
PARTS = ("rows", "forward", "losses", "backward, check", "optimizer", "other")
CONTRASTS = "contrasts: "  # the names of their parts begin so


@dataclass(frozen=True)
class _TimedStore(FeatureStore):
    """Features whose gathering can be timed."""

    part: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext()

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        with self.part("rows"):
            return super().gather(videos, rows)


class Trainer:
    """A network in training, whose steps are timed whole, or in parts.

    Args:
        config: of the stage.
        device: where it trains.
        snippets, classes: of a batch and of the network.
    """

    def __init__(
        self, config: Config, device: Device, snippets: int = SNIPPETS, classes: int = CLASSES
    ) -> None:
        torch.manual_seed(0)
        self.config, self.device, self.clock = config, device, Clock(device)
        self.at_once = 1 if device.on_cpu else 20  # steps of a round, between which nothing waits
        self.in_parts = False
        kind = device.storage_dtype
        rows = torch.rand(STORED_VIDEOS * snippets, CHANNELS, device=device.device).to(kind)
        lengths = torch.full((STORED_VIDEOS,), snippets)
        first = (lengths.cumsum(0) - lengths).to(device.device)
        labels = torch.eye(classes)[torch.arange(STORED_VIDEOS) % 2].to(device.device)
        self.split = Split([], _TimedStore(rows, first, lengths, kind, self._part), labels, {})
        self.snippets = snippets
        net: ACMNet = FTCLNet(CHANNELS, classes) if config.ftcl else ACMNet(CHANNELS, classes)
        self.net = net.to(device.device).train()
        self.forward = net.forward
        self.output: ACMOutput | None = None
        net.forward = self._timed_forward  # type: ignore[method-assign]
        self.criterion, self.weights = build_criterion(config), loss_weights(config)
        self.optimizer = build_optimizer(config, self.net)
        self._time_optimizer()

    def batches(self, steps: int) -> list[Batch]:
        """For so many steps."""
        return [self.batch() for _ in range(steps)]

    def batch(self) -> Batch:
        """All snippets of random videos."""
        count = self.config.batch_size * (2 if self.config.ftcl else 1)
        videos = torch.randint(STORED_VIDEOS, (count,))
        rows = torch.arange(self.snippets).expand(count, -1)
        return Batch(videos, rows, unit=2 if self.config.ftcl else 1).to(self.device.device)

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T, D) and labels (B, C) of a batch."""
        return self.split.features.gather(batch.videos, batch.rows), self.split.labels[batch.videos]

    def warm_up(self) -> "Trainer":
        """Takes steps that are not counted."""
        for _ in range(WARM_UP):
            self.step()
        self.clock.times.clear()
        return self

    def train(self, batches: list[Batch]) -> None:
        """Takes steps as the program does, which waits for the device after the last one."""
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
        """Milliseconds of a step; on a GPU the mean of a round."""
        self.train(self.batches(self.at_once))
        milliseconds = self.clock.times["round"][-1] / self.at_once
        self.clock.times["step"].append(milliseconds)
        return milliseconds

    def step_in_parts(self) -> None:
        """One step that waits for the device after each part."""
        batches = self.batches(1)
        self.in_parts = True
        self.train(batches)
        self.in_parts = False
        times = self.clock.times
        times["step in parts"].append(times["round"][-1])
        times["losses"].append(times["forward and losses"][-1] - times["forward"][-1])
        times["other"].append(times["round"][-1] - sum(times[name][-1] for name in PARTS[:-1]))
        if self.config.ftcl:
            self._contrasts()

    def _part(self, name: str) -> AbstractContextManager[None]:
        return self.clock.part(name) if self.in_parts else nullcontext()

    def _timed_forward(self, features: Tensor, lengths: Tensor | None = None) -> ACMOutput:
        with self._part("forward"):
            output: ACMOutput = self.forward(features, lengths)
        self.output = output if self.in_parts and self.config.ftcl else None
        return output

    def _timed_criterion(self, *given: Any, **named: Any) -> Terms:
        self.labels = given[2]
        with self._part("forward and losses"):
            return self.criterion(*given, **named)

    def _time_optimizer(self) -> None:
        """What lies between its two calls is the backward pass, and the check of what it gave."""
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

    def _contrasts(self) -> None:
        """Times each piece of the contrasts by itself, forward and backward."""
        assert isinstance(self.net, FTCLNet)
        assert self.output is not None
        config, clock = self.config, self.clock
        embedding = self.output.embedding.detach().requires_grad_()
        output = self.output._replace(embedding=embedding, attention=self.output.attention.detach())
        positive = same_class(self.labels)
        with self.device.autocast():
            with clock.part(f"{CONTRASTS}candidates"):
                lcs, action, background = take(
                    output.embedding,
                    action_candidates(output, config.lcs_len),
                    action_candidates(output, config.fsd_len),
                    background_candidates(output, config.fsd_len, config.background),
                )
            with clock.part(f"{CONTRASTS}FSD"):
                first, second = halves(self.net.project(action))
                _, other = halves(self.net.project(background))
                partner = second.snippets.where(positive[:, None, None], other.snippets)
                scores = fsd_scores(first, Sequence(partner, second.lengths), config.gamma)
                fsd = difference_of_means(scores, positive)
            with clock.part(f"{CONTRASTS}LCS"):
                lcs_loss = difference_of_means(
                    lcs_scores(*halves(lcs), config.lcs_threshold).score, positive
                )
        with clock.part(f"{CONTRASTS}backward"):
            torch.autograd.grad(fsd + lcs_loss, embedding)
        self.output = None
