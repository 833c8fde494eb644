"""How cost grows with snippets, videos, classes, candidates and processes; a floor beside each.

    python benchmarks/growth.py [--device cpu|cuda] [--precisions fp32 bf16] [--document FILE.md]

Everything runs on random data of the paper's shape (16 videos or pairs, 750 snippets of 2048
channels, 20 classes, 210 test videos, 5 candidates for FSD and 30 for LCS) with one of these
changed; what does not say its precision is in the first one given. Times are medians in
milliseconds; of a step also the peak memory of its process (of torch on CUDA), features and
optimizer included. The floor is what the least work would take at the rate
of a plain matrix product or of a plain copy measured in the same run:

    a step        the products of the convolution, forward and weight gradient
    scoring       the product of the convolution
    segments, mAP writing and reading the upsampled sequences of the searched classes once
    FSD, LCS      writing and reading the values of the moves and their gradient once
    processes     the step of one process divided by their number; on the CPU each has one thread,
                  on CUDA a device; 250 snippets of 1024 channels

Prints the table in Markdown; with `--document docs/PERFORMANCE.md` puts it between the marks in
that file, and the plot beside it.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.ticker import ScalarFormatter

from benchmarks import evaluation, scaling
from benchmarks.measuring import (
    copy_rate,
    in_own_process,
    matmul_rate,
    median_ms,
    peak_memory,
    reset_peak_memory,
)
from benchmarks.training import CHANNELS, CLASSES, SNIPPETS, WARM_UP, Trainer, products
from config.model_config import make_config
from dataset.annotations import Video
from dataset.features import FeatureStore
from dataset.layout import Split
from engine import predict
from eval.protocol import Protocol
from models.acmnet import ACMNet
from models.alignment import fine_grained_sequence_distance, longest_common_subsequence
from utils.device import Device, choose_device

mpl.use("Agg")
import matplotlib.pyplot as plt

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
VIDEOS, PAIRS, UPSAMPLING = 210, 16, 20
FLOAT32_BYTES, FLOAT64_BYTES = 4, 8


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        over: what is changed.
        what: what is timed.
        size: value of what is changed.
        ms: milliseconds.
        floor: milliseconds.
        peak: bytes, where it was measured.
    """

    over: str
    what: str
    size: int
    ms: float
    floor: float
    peak: float | None = None


def step_cost(
    device: Device, ftcl: bool, snippets: int, classes: int
) -> tuple[float, float | None]:
    """Milliseconds of a training step, and the peak memory."""
    _prepare(device)
    reset_peak_memory(device)
    trainer = Trainer(make_config(ftcl=ftcl), device, snippets, classes)
    for _ in range(WARM_UP):
        trainer.step()
    trainer.clock.times.clear()
    for _ in range(3):
        trainer.step()
    return trainer.clock.median("step"), peak_memory(device)


def scoring_ms(device: Device, videos: int) -> tuple[float, int]:
    """Milliseconds of scoring all videos with the network, and their snippets."""
    _prepare(device)
    lengths = torch.tensor([v.snippets for v in evaluation.paper_scores()] * (videos // VIDEOS + 1))
    lengths = lengths[:videos]
    rows = torch.rand(int(lengths.sum()), CHANNELS).to(device.torch)
    store = FeatureStore(rows, (lengths.cumsum(0) - lengths).to(device.torch), lengths)
    names = [Video(f"v{i}", "test", 1.0, ()) for i in range(videos)]
    split = Split(names, store.of_type(device.row_type), torch.zeros(videos, CLASSES), {})
    net = ACMNet(CHANNELS, CLASSES).to(device.torch)
    used = int(lengths.clamp(max=SNIPPETS).sum())
    return median_ms(device, lambda: predict(net, split, SNIPPETS, device)), used


def evaluation_ms(device: Device, videos: int, classes: int) -> tuple[float, int]:
    """Milliseconds of segments and mAP, and the bytes of the upsampled sequences they look at."""
    names = [f"class_{c}" for c in range(classes)]
    random = np.random.default_rng(0)
    few = evaluation.paper_scores()
    lengths = [few[i % len(few)].snippets for i in range(videos)]
    scores = [
        evaluation.video_scores(f"video_{i}", n, random, classes) for i, n in enumerate(lengths)
    ]
    database = evaluation.annotations(scores, names, instances=16 * videos)
    protocol = Protocol(database, list(database), names, evaluation.TIOU, **evaluation.THRESHOLDS)
    searched = [max(1, int((v.class_scores[:-1] > 0.25).sum())) for v in scores]
    steps = sum(UPSAMPLING * len(v.attention) * n for v, n in zip(scores, searched, strict=True))
    return median_ms(device, lambda: protocol(scores)), steps * FLOAT64_BYTES


def alignment_ms(device: Device, name: str, length: int) -> float:
    """Milliseconds of one of the programs for 16 pairs, forward and backward."""
    tables = [torch.rand(PAIRS, length, length, device=device.torch) for _ in range(2)]

    def run() -> None:
        match, gap = (table.requires_grad_() for table in tables)
        if name == "FSD":
            score = fine_grained_sequence_distance(match, gap, gap)
        else:
            score = longest_common_subsequence(match, 0.92)
        torch.autograd.grad(score.sum(), [match])

    return median_ms(device, run)


class Table:
    """The points, a line printed for each as it is measured."""

    def __init__(self, devices: list[Device]) -> None:
        self.points: list[Point] = []
        self.devices = devices
        self.flops = {device.precision: matmul_rate(device) for device in devices}
        self.bytes_a_second = copy_rate(devices[0])
        rates = ", ".join(f"{p} {rate / 1e9:,.0f} GFLOP/s" for p, rate in self.flops.items())
        self.title = (
            f"{devices[0]}; torch {torch.__version__}; plain product {rates}; "
            f"plain copy {self.bytes_a_second / 1e9:.1f} GB/s (read and written)"
        )
        print(self.title)

    def add(self, *values: Any) -> None:
        """A point."""
        point = Point(*values)
        self.points.append(point)
        print(
            f"{point.over:12} {point.size:6d}  {point.what:20} {point.ms:10.2f} ms"
            f"  floor {point.floor:10.3f} ms",
            flush=True,
        )

    def add_step(self, over: str, size: int, device: Device, ftcl: bool, *shape: int) -> None:
        """A training step of this shape."""
        name = "FTCL-Net" if ftcl else "ACM-Net"
        floor = products(make_config(ftcl=ftcl), shape[0]) / self.flops[device.precision] * 1e3
        ms, peak = in_own_process(step_cost, device, ftcl, *shape)
        self.add(over, f"{name} step, {device.precision}", size, ms, floor, peak)

    def copy_floor(self, size: float) -> float:
        """Milliseconds of reading and writing so many bytes once."""
        return 2e3 * size / self.bytes_a_second

    def over_snippets(self) -> None:
        for device in self.devices:
            for ftcl in (False, True):
                for snippets in (94, 188, 375, 750, 1500):
                    self.add_step("snippets", snippets, device, ftcl, snippets, CLASSES)

    def over_classes(self) -> None:
        for classes in (20, 50, 100, 200):
            self.add_step("classes", classes, self.devices[0], False, SNIPPETS, classes)
        for classes in (20, 50, 100, 200):
            ms, size = evaluation_ms(self.devices[0], VIDEOS, classes)
            self.add("classes", "segments, mAP", classes, ms, self.copy_floor(size))

    def over_videos(self) -> None:
        device = self.devices[0]
        for videos in (50, 105, 210, 420):
            ms, used = in_own_process(scoring_ms, device, videos)
            floor = 2e3 * used * CHANNELS * CHANNELS * 3 / self.flops[device.precision]
            self.add("test videos", f"scoring, {device.precision}", videos, ms, floor)
        for videos in (50, 105, 210, 420, 840):
            ms, size = evaluation_ms(device, videos, CLASSES)
            self.add("test videos", "segments, mAP", videos, ms, self.copy_floor(size))

    def over_candidates(self) -> None:
        for name in ("FSD", "LCS"):
            for length in (5, 10, 20, 30, 60, 120):
                ms = alignment_ms(self.devices[0], name, length)
                moves = 3 * PAIRS * length**2 * FLOAT32_BYTES
                self.add("candidates", name, length, ms, self.copy_floor(2 * moves))

    def over_processes(self) -> None:
        device = self.devices[0]
        on_cpu = device.torch.type == "cpu"
        most = len(os.sched_getaffinity(0)) if on_cpu else torch.cuda.device_count()
        flags = ["--device", device.torch.type, "--precision", device.precision]
        flags += ["--snippets", "250", "--channels", "1024"]
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started from here on
        runs = {n: scaling.launch(n, flags) for n in (1, 2, 4, 8) if n <= most}
        for stage, name in enumerate(("ACM-Net", "FTCL-Net")):
            for n, found in runs.items():
                what = f"{name} step, {device.precision}"
                self.add("processes", what, n, found[stage]["ms"], runs[1][stage]["ms"] / n)


def table(points: list[Point]) -> str:
    """The points as Markdown, a row for each size."""
    lines = ["| over | size | what | ms | floor, ms | ratio |", "|---|---|---|---|---|---|"]
    for p in points:
        ratio = f"{p.ms / p.floor:.2f}" if p.ms < 100 * p.floor else f"{p.ms / p.floor:,.0f}"
        lines.append(f"| {p.over} | {p.size} | {p.what} | {p.ms:,.2f} | {p.floor:,.3f} | {ratio} |")
    return "\n".join(lines)


def plot(points: list[Point], path: Path, title: str) -> None:
    """A panel for everything that is changed; measured drawn through, floors dashed."""
    overs = list(dict.fromkeys(p.over for p in points))
    figure, panels = plt.subplots(1, len(overs), figsize=(3.6 * len(overs), 3.4))
    for panel, over in zip(panels, overs, strict=True):
        for number, what in enumerate(dict.fromkeys(p.what for p in points if p.over == over)):
            chosen = [p for p in points if (p.over, p.what) == (over, what)]
            sizes = [p.size for p in chosen]
            colour = f"C{number}"
            panel.plot(sizes, [p.ms for p in chosen], "o-", color=colour, label=what)
            panel.plot(sizes, [p.floor for p in chosen], "--", color=colour, linewidth=1)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(sorted({p.size for p in points if p.over == over}))
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.minorticks_off()
        panel.tick_params(axis="x", labelsize=7)
        panel.set_xlabel(over)
        panel.legend(fontsize=7)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms (dashed: floor)")
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _prepare(device: Device) -> None:
    choose_device(device.torch.type, str(device.torch.index or 0), device.precision)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", help="default: fp32 or tf32, and bf16")
    parser.add_argument("--document", type=Path, help="Markdown file with the marks")
    given = parser.parse_args()
    names = given.precisions or ["auto", "bf16"]
    devices = [choose_device(given.device, "0", name) for name in names]
    measured = Table(devices)
    measured.over_snippets()
    measured.over_classes()
    measured.over_videos()
    measured.over_candidates()
    measured.over_processes()
    text = f"{measured.title}\n\n{table(measured.points)}"
    print(text)
    if given.document:
        before, _, rest = given.document.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        given.document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
        plot(measured.points, given.document.with_name("growth.png"), str(devices[0]))


if __name__ == "__main__":
    main()
