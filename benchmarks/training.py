"""Where the time of a training step goes, at the paper's shape.

    python benchmarks/training.py [--device cpu|cuda] [--precision fp32|tf32|bf16] [--steps 5]

Random features and weights of the full size: 16 videos (ACM-Net) or 16 pairs (FTCL-Net) of 750
snippets of 2048 channels. Prints the median milliseconds of each part of a step and its share, the
peak memory, and the floor: what the products of the temporal convolution would take at the rate
that a plain matrix product reaches on this machine in the same run. Rows of `contrasts` are also in
`losses` or `backward`: they are timed again by themselves, with the graph cut at the embedding.
"""

import argparse
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from config.model_config import Config, make_config
from dataset.features import FeatureStore
from models.acmnet import ACMNet, ACMOutput
from models.contrast import difference_of_means, fsd_scores, halves, lcs_scores, same_class
from models.ftclnet import FTCLNet, action_candidates, background_candidates, take
from models.losses import weighted_sum
from stages import loss_weights, make_criterion, make_optimizer
from utils.device import Device, choose_device

SNIPPETS, CHANNELS, CLASSES = 750, 2048, 20


class Clock:
    """Milliseconds of named parts, over many steps."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.device.synchronize()
        start = time.perf_counter()
        yield
        self.device.synchronize()
        self.times[name].append((time.perf_counter() - start) * 1e3)

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])


def matmul_rate(device: Device, size: int) -> float:
    """Floating-point operations a second of a plain matrix product in the precision of the run."""
    kind = torch.bfloat16 if device.precision == "bf16" else torch.float32
    x, y = (torch.randn(size, size, device=device.torch, dtype=kind) for _ in range(2))
    clock = Clock(device)
    for _ in range(6):
        with clock.part("matmul"):
            _ = x @ y
    return 2 * size**3 / (min(clock.times["matmul"]) / 1e3)


def time_steps(device: Device, config: Config, steps: int) -> tuple[Clock, list[str]]:
    """Trains for some steps on random data; returns the clock and the parts of a step in order."""
    torch.manual_seed(0)
    count = config.batch_size * (2 if config.ftcl else 1)
    rows = torch.rand(40 * SNIPPETS, CHANNELS, device=device.torch)  # enough not to stay in a cache
    lengths = torch.full((40,), SNIPPETS)
    store = FeatureStore(rows, (lengths.cumsum(0) - lengths).to(device.torch), lengths)
    labels = torch.eye(CLASSES, device=device.torch)[torch.arange(count) % 2]
    net: ACMNet = FTCLNet(CHANNELS, CLASSES) if config.ftcl else ACMNet(CHANNELS, CLASSES)
    net = net.to(device.torch).train()
    optimizer, criterion = make_optimizer(config, net), make_criterion(config)
    clock = Clock(device)
    outputs: list[ACMOutput] = []
    forward = net.forward

    def timed_forward(features: Tensor, lengths: Tensor | None = None) -> ACMOutput:
        with clock.part("forward"):
            outputs.append(forward(features, lengths))
        return outputs[-1]

    net.forward = timed_forward  # type: ignore[method-assign]
    for step in range(steps + 1):
        if step == 1:
            clock.times.clear()  # the first step warms up
        outputs.clear()
        with clock.part("step"):
            with clock.part("rows"):
                videos = torch.randint(40, (count,)).to(device.torch)
                index = torch.arange(SNIPPETS, device=device.torch).expand(count, -1)
                features = store.gather(videos, index)
            with clock.part("forward and losses"), device.autocast():
                terms = criterion(net, features, labels, index)
                total = weighted_sum(terms.losses, loss_weights(config))
            with clock.part("backward"):
                optimizer.zero_grad()
                total.backward()
            with clock.part("optimizer"):
                optimizer.step()
        if config.ftcl:
            time_contrasts(device, config, net, outputs[-1], labels, clock)
    both = zip(clock.times["forward and losses"], clock.times["forward"], strict=True)
    clock.times["losses"] = [a - b for a, b in both]
    return clock, ["rows", "forward", "losses", "backward", "optimizer"]


def time_contrasts(
    device: Device,
    config: Config,
    net: ACMNet,
    output: ACMOutput,
    labels: Tensor,
    clock: Clock,
) -> None:
    """Times each piece of the contrasts by itself, forward and backward."""
    assert isinstance(net, FTCLNet)
    embedding = output.embedding.detach().requires_grad_()
    output = output._replace(embedding=embedding, attention=output.attention.detach())
    positive = same_class(labels)
    with device.autocast():
        with clock.part("contrasts: candidates"):
            lcs, action, background = take(
                output.embedding,
                action_candidates(output, config.lcs_len),
                action_candidates(output, config.fsd_len),
                background_candidates(output, config.fsd_len, config.background),
            )
        with clock.part("contrasts: FSD"):
            first, second = halves(net.project(action))
            net.project(background)
            fsd = difference_of_means(fsd_scores(first, second, config.gamma), positive)
        with clock.part("contrasts: LCS"):
            scores = lcs_scores(*halves(lcs), config.thres).score
            lcs_loss = difference_of_means(scores, positive)
    with clock.part("contrasts: backward"):
        torch.autograd.grad(fsd + lcs_loss, embedding)


def peak_memory(device: Device) -> str:
    if device.torch.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device.torch) / 2**30:.2f} GiB on the GPU"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB of the process"


def report(title: str, clock: Clock, parts: list[str], floor: float, memory: str) -> None:
    whole = clock.median("step")
    print(
        f"\n{title}: {whole:.1f} ms a step; floor {floor:.1f} ms, {whole / floor:.2f} x; {memory}"
    )
    contrasts = [name for name in clock.times if name.startswith("contrasts")]
    for name in parts + contrasts:
        median = clock.median(name)
        print(f"  {name:24} {median:9.2f} ms  {100 * median / whole:5.1f} %")
    if contrasts:
        total = sum(map(clock.median, contrasts))
        print(f"  {'contrasts, together':24} {total:9.2f} ms  {100 * total / whole:5.1f} %")


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    device = choose_device(given.device, "0", given.precision)
    print(f"{device}; torch {torch.__version__}; {SNIPPETS} snippets of {CHANNELS} channels")
    rate = matmul_rate(device, 8192 if device.torch.type == "cuda" else 4096)
    print(f"plain matrix product: {rate / 1e9:,.0f} GFLOP/s")
    for ftcl in (False, True):
        config = make_config(ftcl=ftcl)
        count = config.batch_size * (2 if ftcl else 1)
        products = 2 * (2 * count * SNIPPETS * CHANNELS * CHANNELS * 3)  # forward, weight gradient
        clock, parts = time_steps(device, config, given.steps)
        title = "FTCL-Net, 16 pairs" if ftcl else "ACM-Net, 16 videos"
        report(title, clock, parts, products / rate * 1e3, peak_memory(device))


if __name__ == "__main__":
    main()
