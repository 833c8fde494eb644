"""Where the time of a training step goes, at the shape of the paper, and how a plain form compares.

    python benchmarks/training.py [--device cpu|cuda] [--precisions fp32 bf16] [--rounds 5]
                                  [--compile] [--without_reference]

Random features and weights of full size, 16 videos (ACM-Net) or 16 pairs (FTCL-Net) of 750 snippets
of 2048 channels, in the loop of the program (`benchmarks/trainer.py`). For each precision it prints
the rate of a plain matrix product, the median time of a step in milliseconds, the peak memory, the
number of operations in a step (views not counted), and the floor: the time that the products of the
temporal convolution (forward, and the gradient of the weights) take at that rate. A round is one
step on the CPU and 20 steps on a GPU, where the host waits only after the last one. Other steps
wait for the device after each part; they give the median and the percentage of each part. On the
CPU, one more step under torch's profiler gives the share of every kind of operation. The parts
named `contrastive` are contained in `losses` and `backward`: they are timed once more by
themselves, with the graph cut at the embedding.

Then it compares with the reference implementation of a step (`tests/reference_training.py`), which
is written as plainly as the official one: first losses and gradients, in float32 without dropout;
then both take steps in turns, each in its own process, in float32 (tf32 on CUDA). On the CPU the
reference implementation runs twice: once in a process as Python starts it, and once with freed
memory kept, as the program does.
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
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import Clock, Operations, matmul_rate, peak_memory, prepare
from benchmarks.processes import Worker, in_fresh_process
from benchmarks.trainer import (
    CHANNELS,
    CLASSES,
    CONTRASTIVE,
    PARTS,
    SNIPPETS,
    TITLES,
    WARM_UP_ROUNDS,
    Trainer,
    convolution_operations,
)
from config.model_config import make_config
from dataset.batches import Batch
from models.terms import weighted_sum
from tests.reference_training import SlowNet, slow_acm_losses, slow_ftcl_losses
from utils.device import Device, choose_device
from utils.errors import command

PRECISIONS = {True: ("fp32", "bf16"), False: ("fp32", "tf32", "bf16")}  # on the CPU, on a GPU

PRODUCTS = tuple(
    f"aten::{name}" for name in ("mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_")
)
SHOWN = 8  # kinds of other operations


class ReferenceTrainer:
    """The reference implementation in training on the features of a `Trainer`."""

    def __init__(self, ours: Trainer) -> None:
        self.ours, self.clock = ours, Clock(ours.device)
        self.net = SlowNet(CHANNELS, CLASSES, ours.config.dropout, ours.config.fc_dim)
        self.net = self.net.to(ours.device.device).train()
        betas = (ours.config.adam_beta1, ours.config.adam_beta2)
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), ours.config.lr, betas, weight_decay=ours.config.weight_decay
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The unweighted losses of a batch by name."""
        features, labels = self.ours.inputs(batch)
        if not self.ours.config.ftcl:
            return slow_acm_losses(self.net(features), labels)
        pairs = len(labels) // 2
        both = (labels[:pairs], labels[pairs:])
        return slow_ftcl_losses(self.net, features[:pairs], features[pairs:], both)

    def step(self) -> float:
        """Takes one step, on a GPU a round of them; returns the milliseconds per step.

        For FTCL-Net a round is one step everywhere: the host waits in every cell of an alignment.
        """
        batches = self.ours.batches(1 if self.ours.config.ftcl else self.ours.steps_per_round)
        with self.clock.part("round"):
            for batch in batches:
                total = weighted_sum(self.losses(batch), self.ours.weights)
                self.optimizer.zero_grad()
                total.backward()
                self.optimizer.step()
        return self.clock.times["round"][-1] / len(batches)


def measure(
    device: Device, ftcl: bool, rounds: int, compiled: bool
) -> tuple[Clock, float | None, int, dict[str, float]]:
    """Times of steps and of their parts, peak memory in bytes, number of operations of a step, and
    on the CPU the milliseconds of each kind of operation."""
    prepare(device)
    trainer = Trainer(make_config(ftcl=ftcl), device)
    batches = trainer.batches(2)
    trainer.train(batches)  # the first step allocates the moments of Adam
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
    kinds = operation_times(trainer.step) if device.on_cpu else {}
    return trainer.clock, peak, twice.count - once.count, kinds


def operation_times(step: Callable[[], object]) -> dict[str, float]:
    """Milliseconds that a step spends in each kind of operation itself, the longest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    times = {event.key: event.self_cpu_time_total / 1e3 for event in profiler.key_averages()}
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def report_operations(times: dict[str, float]) -> None:
    """Prints the share of the matrix products and of the longest other operations."""
    total = sum(times.values())
    products = sum(time for name, time in times.items() if name in PRODUCTS)
    print(f"  matrix products          {products:9.2f} ms  {100 * products / total:5.1f} %")
    others = [(name, time) for name, time in times.items() if name not in PRODUCTS]
    for name, time in [*others[:SHOWN], ("all others", sum(t for _, t in others[SHOWN:]))]:
        print(f"  {name:24} {time:9.2f} ms  {100 * time / total:5.1f} %")


def our_step(device: Device, ftcl: bool) -> Callable[[], float]:
    """A step of the program, as the work of a `Worker`."""
    prepare(device)
    return Trainer(make_config(ftcl=ftcl), device).step


def reference_step(device: Device, ftcl: bool, keep_memory: bool) -> Callable[[], float]:
    """A step of the reference implementation, as the work of a `Worker`."""
    choose_device(device.device.type, str(device.device.index or 0), device.precision)
    if keep_memory:
        device.keep_freed_memory()
    return ReferenceTrainer(Trainer(make_config(ftcl=ftcl), device)).step


def check(device: Device, ftcl: bool) -> None:
    """Compares losses and gradients with those of the reference implementation, without dropout.

    On a GPU in float64: the last digits of its float32 products depend on the form of the product,
    and a few of the snippets that both sides choose, or that match in LCS, depend on those digits.
    """
    prepare(device)
    ours = Trainer(make_config(ftcl=ftcl, dropout=0.0), device)
    ours.net.eval()
    reference = ReferenceTrainer(ours)
    reference.net.load_state_dict({**reference.net.state_dict(), **ours.net.state_dict()})
    reference.net.eval()
    if not device.on_cpu:
        ours.net.double()
        reference.net.double()
        store = replace(ours.split.features, row_type=torch.float64)
        ours.split = replace(ours.split, features=store)
    batch = ours.batch()
    features, labels = ours.inputs(batch)
    found = ours.criterion(ours.net(features), labels, batch.rows).losses
    wanted = reference.losses(batch)
    assert found.keys() == wanted.keys()
    for name, loss in wanted.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-4, atol=1e-4, msg=name)
    for losses in (found, wanted):
        weighted_sum(losses, ours.weights).backward()
    theirs = dict(reference.net.named_parameters())
    for name, parameter in ours.net.named_parameters():
        expected = theirs[name].grad
        assert parameter.grad is not None
        assert expected is not None
        difference = (parameter.grad - expected).norm() / expected.norm()
        assert difference < 1e-3, f"{name}: {difference}"


def compare(device: Device, ftcl: bool, rounds: int) -> None:
    """Checks equality, then times both implementations in turns and prints the ratio."""
    in_fresh_process(check, replace(device, precision="fp32"), ftcl)
    print(f"\n{TITLES[ftcl]}: losses and gradients equal those of the reference implementation")
    workers = {"ours": Worker(our_step, device, ftcl)}
    workers["reference"] = Worker(reference_step, device, ftcl, False)
    if device.on_cpu:
        workers["reference, memory kept"] = Worker(reference_step, device, ftcl, True)
    times: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(WARM_UP_ROUNDS + rounds):
        for name, worker in workers.items():
            milliseconds = worker.round()
            if number >= WARM_UP_ROUNDS:
                times[name].append(milliseconds)
    for name, worker in workers.items():
        worker.close()
        median = statistics.median(times[name])
        ratio = median / statistics.median(times["ours"])
        print(f"  {name:26} {median:9.1f} ms per step  {ratio:5.2f} x")


def report(title: str, clock: Clock, floor: float, peak: float | None, operations: int) -> None:
    """Prints the time of a step, its floor in milliseconds, and the parts of a step."""
    whole = clock.median("step")
    memory = f"peak {peak / 2**30:.2f} GiB" if peak else "peak memory not measured"
    print(
        f"\n{title}: {whole:.1f} ms per step; floor {floor:.1f} ms, {whole / floor:.2f} x; "
        f"{memory}; {operations} operations"
    )
    contrastive = [name for name in clock.times if name.startswith(CONTRASTIVE)]
    in_parts = clock.median("step in parts")
    medians = {name: clock.median(name) for name in [*PARTS, *contrastive]}
    if contrastive:
        medians[f"{CONTRASTIVE}total"] = sum(medians[name] for name in contrastive)
    for name, median in medians.items():
        print(f"  {name:24} {median:9.2f} ms  {100 * median / in_parts:5.1f} %")


@command("benchmarks/training.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precisions", nargs="+", help="default: all that the device has")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds (5)")
    parser.add_argument("--compile", action="store_true", help="run the network in torch.compile")
    parser.add_argument("--without_reference", action="store_true", help="skip the comparison")
    given = parser.parse_args()
    device = choose_device(given.device, "0", "auto")
    print(f"{device}; torch {torch.__version__}; {SNIPPETS} snippets of {CHANNELS} channels")
    steps: dict[tuple[str, bool], float] = {}
    for precision in given.precisions or PRECISIONS[device.on_cpu]:
        device = choose_device(given.device, "0", precision)
        if device.precision != precision:
            continue  # a processor without instructions for it; the warning says so
        rate = matmul_rate(device)
        print(f"\n{precision}: plain matrix product {rate / 1e9:,.0f} GFLOP/s")
        for ftcl, title in TITLES.items():
            measured = in_fresh_process(measure, device, ftcl, given.rounds, given.compile)
            clock, peak, operations, kinds = measured
            floor = convolution_operations(make_config(ftcl=ftcl)) / rate * 1e3
            report(f"{precision}, {title}", clock, floor, peak, operations)
            if kinds:
                report_operations(kinds)
            steps[precision, ftcl] = clock.median("step")
    for ftcl, title in TITLES.items():
        first, *others = [p for p, stage in steps if stage == ftcl]
        for precision in others:
            ratio = steps[first, ftcl] / steps[precision, ftcl]
            print(f"\n{title}: {precision} is {ratio:.2f} x as fast as {first}")
    if not given.without_reference:
        for ftcl in TITLES:
            compare(choose_device(given.device, "0", "auto"), ftcl, given.rounds)


if __name__ == "__main__":
    main()
