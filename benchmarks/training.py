"""Where the time of a training step goes, at the paper's shape, and how a plain form compares.

    python benchmarks/training.py [--device cpu|cuda] [--precisions fp32 bf16] [--rounds 5]
                                  [--compile] [--without_twin]

Random features and weights of the full size: 16 videos (ACM-Net) or 16 pairs (FTCL-Net) of 750
snippets of 2048 channels, in the loop of the program (`benchmarks/trainer.py`). For each precision:
the rate that a plain matrix product reaches, the median milliseconds of a step, the peak memory,
the number of operations in a step (views not counted), and the floor: what the products of the
temporal convolution (forward, and the gradient of its weights) would take at that rate. A round is
one step on the CPU; on a GPU it is 20 steps, between which nothing waits. Then, of other steps that
wait for the device after each part, the median of each part and its share. Rows of `contrasts` are
also in `losses` or `backward`: they are timed again by themselves, with the graph cut at the
embedding.

Then the step of `tests/training_twin.py`, in the manner of the released code: first its losses and
gradients are compared with ours in float32 without dropout, then both take steps in turns, each in
a process of its own. It runs in float32 (tf32 on CUDA) and, on the CPU, once as a process starts
and once with freed memory kept, as our program does.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from benchmarks.measuring import (
    Clock,
    Operations,
    Side,
    in_own_process,
    matmul_rate,
    peak_memory,
    prepare,
)
from benchmarks.trainer import CHANNELS, CLASSES, CONTRASTS, PARTS, SNIPPETS, WARM_UP, Trainer
from config.model_config import Config, make_config
from dataset.batches import Batch
from models.losses import weighted_sum
from tests.reference_training import SlowNet, slow_acm_losses, slow_ftcl_losses
from utils.device import Device, choose_device

PROJECTED = 1024
PRECISIONS = {True: ("fp32", "bf16"), False: ("fp32", "tf32", "bf16")}  # on the CPU, or not
TITLES = {False: "ACM-Net, 16 videos", True: "FTCL-Net, 16 pairs"}


class SlowTrainer:
    """The plain form on the same rows and labels."""

    def __init__(self, ours: Trainer) -> None:
        self.ours, self.clock = ours, Clock(ours.device)
        self.net = SlowNet(CHANNELS, CLASSES, ours.config.dropout, PROJECTED)
        self.net = self.net.to(ours.device.device).train()
        betas = (ours.config.adam_beta1, ours.config.adam_beta2)
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), ours.config.lr, betas, weight_decay=ours.config.weight_decay
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Rows, forward and the terms of the loss."""
        split = self.ours.split
        features, labels = (
            split.features.gather(batch.videos, batch.rows),
            split.labels[batch.videos],
        )
        if not self.ours.config.ftcl:
            return slow_acm_losses(self.net(features), labels)
        pairs = len(labels) // 2
        both = (labels[:pairs], labels[pairs:])
        return slow_ftcl_losses(self.net, features[:pairs], features[pairs:], both)

    def step(self) -> float:
        """Milliseconds of a step; on a GPU the mean of a round, but for FTCL-Net, which waits in
        every cell of its alignments anyway."""
        batches = self.ours.batches(1 if self.ours.config.ftcl else self.ours.at_once)
        with self.clock.part("round"):
            for batch in batches:
                total = weighted_sum(self.losses(batch), self.ours.weights)
                self.optimizer.zero_grad()
                total.backward()
                self.optimizer.step()
        return self.clock.times["round"][-1] / len(batches)


def measure(
    device: Device, ftcl: bool, rounds: int, compiled: bool
) -> tuple[Clock, float | None, int]:
    """Our step and its parts, the peak memory, and the operations of a step."""
    prepare(device)
    trainer = Trainer(make_config(ftcl=ftcl), device)
    batches = trainer.batches(2)
    trainer.train(batches)  # the first step makes the moments of Adam
    with Operations() as once:
        trainer.train(batches[:1])
    with Operations() as twice:
        trainer.train(batches)
    if compiled:
        trainer.forward = torch.compile(trainer.forward)
    trainer.warm_up()
    for _ in range(rounds):
        trainer.step()
    peak = peak_memory(device)
    for _ in range(rounds):
        trainer.step_in_parts()
    return trainer.clock, peak, twice.count - once.count


def our_side(device: Device, ftcl: bool) -> Callable[[], float]:
    """Our step, for timing in turns."""
    prepare(device)
    return Trainer(make_config(ftcl=ftcl), device).step


def slow_side(device: Device, ftcl: bool, keep: bool) -> Callable[[], float]:
    """The plain step, for timing in turns."""
    choose_device(device.device.type, str(device.device.index or 0), device.precision)
    if keep:
        device.keep_freed_memory()
    return SlowTrainer(Trainer(make_config(ftcl=ftcl), device)).step


def check(device: Device, ftcl: bool) -> None:
    """Compares losses and gradients of both forms, without dropout."""
    prepare(device)
    config = make_config(ftcl=ftcl, dropout=0.0)
    ours = Trainer(config, device)
    ours.net.eval()
    slow = SlowTrainer(ours)
    slow.net.load_state_dict({**slow.net.state_dict(), **ours.net.state_dict()})
    slow.net.eval()
    batch = ours.batch()
    features, labels = ours.split.features.gather(*batch[:2]), ours.split.labels[batch.videos]
    found, wanted = (
        ours.criterion(ours.net, features, labels, batch.rows).losses,
        slow.losses(batch),
    )
    assert found.keys() == wanted.keys()
    for name, loss in wanted.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-4, atol=1e-4, msg=name)
    for losses in (found, wanted):
        weighted_sum(losses, ours.weights).backward()
    theirs = dict(slow.net.named_parameters())
    for name, parameter in ours.net.named_parameters():
        expected = theirs[name].grad
        assert parameter.grad is not None
        assert expected is not None
        difference = (parameter.grad - expected).norm() / expected.norm()
        assert difference < 1e-3, f"{name}: {difference}"


def compare(device: Device, ftcl: bool, rounds: int) -> None:
    """Equality, then both forms in turns."""
    in_own_process(check, replace(device, precision="fp32"), ftcl)
    print(f"\n{TITLES[ftcl]}: losses and gradients equal those of the plain form")
    sides = {"ours": Side(our_side, device, ftcl)}
    sides["plain form"] = Side(slow_side, device, ftcl, False)
    if device.on_cpu:
        sides["plain form, memory kept"] = Side(slow_side, device, ftcl, True)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(WARM_UP + rounds):
        for name, side in sides.items():
            milliseconds = side.round()
            if number >= WARM_UP:
                times[name].append(milliseconds)
    for name, side in sides.items():
        side.end()
        median = statistics.median(times[name])
        ratio = median / statistics.median(times["ours"])
        print(f"  {name:26} {median:9.1f} ms a step  {ratio:5.2f} x")


def report(title: str, clock: Clock, floor: float, peak: float | None, operations: int) -> None:
    """Prints the parts of a step."""
    whole = clock.median("step")
    memory = f"peak {peak / 2**30:.2f} GiB" if peak else "peak memory not measured"
    print(
        f"\n{title}: {whole:.1f} ms a step; floor {floor:.1f} ms, {whole / floor:.2f} x; {memory}; "
        f"{operations} operations"
    )
    contrasts = [name for name in clock.times if name.startswith(CONTRASTS)]
    in_parts = clock.median("step in parts")
    for name in [*PARTS, *contrasts]:
        median = clock.median(name)
        print(f"  {name:24} {median:9.2f} ms  {100 * median / in_parts:5.1f} %")
    if contrasts:
        total = sum(map(clock.median, contrasts))
        print(f"  {'contrasts, together':24} {total:9.2f} ms  {100 * total / in_parts:5.1f} %")


def products(config: Config, snippets: int = SNIPPETS) -> int:
    """Operations of the convolution in a step: forward, and the gradient of its weights."""
    rows = config.batch_size * (2 if config.ftcl else 1) * snippets
    return 2 * (2 * rows * CHANNELS * CHANNELS * 3)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", help="default: all that the device has")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="the network by torch.compile")
    parser.add_argument("--without_twin", action="store_true")
    given = parser.parse_args()
    device = choose_device(given.device, "0", "auto")
    print(f"{device}; torch {torch.__version__}; {SNIPPETS} snippets of {CHANNELS} channels")
    steps: dict[tuple[str, bool], float] = {}
    for precision in given.precisions or PRECISIONS[device.on_cpu]:
        device = choose_device(given.device, "0", precision)
        rate = matmul_rate(device)
        print(f"\n{precision}: plain matrix product {rate / 1e9:,.0f} GFLOP/s")
        for ftcl, title in TITLES.items():
            clock, peak, count = in_own_process(measure, device, ftcl, given.rounds, given.compile)
            floor = products(make_config(ftcl=ftcl)) / rate * 1e3
            report(f"{precision}, {title}", clock, floor, peak, count)
            steps[precision, ftcl] = clock.median("step")
    for ftcl, title in TITLES.items():
        first, *others = [p for p, stage in steps if stage == ftcl]
        for precision in others:
            ratio = steps[first, ftcl] / steps[precision, ftcl]
            print(f"\n{title}: {precision} is {ratio:.2f} x as fast as {first}")
    if not given.without_twin:
        for ftcl in TITLES:
            compare(choose_device(given.device, "0", "auto"), ftcl, given.rounds)


if __name__ == "__main__":
    main()
