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
    segments, mAP writing and reading the upsampled sequences of the searched classes once (host)
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.ticker import ScalarFormatter

from benchmarks import evaluation, scaling
from benchmarks.measuring import (
    copy_rate,
    cores,
    in_own_process,
    matmul_rate,
    median_ms,
    peak_memory,
    prepare,
)
from benchmarks.trainer import CHANNELS, CLASSES, SNIPPETS, Trainer
from benchmarks.training import products
from config.model_config import make_config
from dataset.annotations import Video
from dataset.features.store import FeatureStore
from dataset.layouts import Split
from engine import predict
from eval.evaluator import Evaluator
from models.acmnet import ACMNet
from models.alignment import fine_grained_sequence_distance, longest_common_subsequence
from utils.device import Device, choose_device

mpl.use("Agg")
import matplotlib.pyplot as plt

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
VIDEOS, PAIRS, UPSAMPLING = 210, 16, 20
FLOAT32_BYTES, FLOAT64_BYTES = 4, 8
HOST = Device(torch.device("cpu"), "fp32")


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
    prepare(device)
    trainer = Trainer(make_config(ftcl=ftcl), device, snippets, classes).warm_up()
    for _ in range(3):
        trainer.step()
    return trainer.clock.median("step"), peak_memory(device)


def scoring_ms(device: Device, videos: int) -> tuple[float, int]:
    """Milliseconds of scoring all videos with the network, and their snippets."""
    prepare(device)
    lengths = torch.tensor([v.snippets for v in evaluation.paper_scores()] * (videos // VIDEOS + 1))
    lengths = lengths[:videos]
    kind = device.storage_dtype
    rows = torch.rand(int(lengths.sum()), CHANNELS).to(device.device, kind)
    store = FeatureStore(rows, (lengths.cumsum(0) - lengths).to(device.device), lengths, kind)
    names = [Video(f"v{i}", "test", 1.0, ()) for i in range(videos)]
    split = Split(names, store, torch.zeros(videos, CLASSES), {})
    net = ACMNet(CHANNELS, CLASSES).to(device.device)
    used = int(lengths.clamp(max=SNIPPETS).sum())
    return median_ms(device, lambda: predict(net, split, SNIPPETS, device)), used


def evaluation_ms(videos: int, classes: int) -> tuple[float, int]:
    """Milliseconds of segments and mAP, and the bytes of the upsampled sequences they look at."""
    names = [f"class_{c}" for c in range(classes)]
    random = np.random.default_rng(0)
    few = evaluation.paper_scores()
    lengths = [few[i % len(few)].snippets for i in range(videos)]
    scores = [
        evaluation.video_scores(f"video_{i}", n, random, classes) for i, n in enumerate(lengths)
    ]
    database = evaluation.annotations(scores, names, instances=16 * videos)
    protocol = Evaluator(database, list(database), names, evaluation.TIOU, **evaluation.THRESHOLDS)
    searched = [max(1, int((v.class_scores[:-1] > 0.25).sum())) for v in scores]
    steps = sum(UPSAMPLING * len(v.attention) * n for v, n in zip(scores, searched, strict=True))
    return median_ms(HOST, lambda: protocol(scores)), steps * FLOAT64_BYTES


def alignment_ms(device: Device, name: str, length: int) -> float:
    """Milliseconds of one of the programs for 16 pairs, forward and backward."""
    tables = [torch.rand(PAIRS, length, length, device=device.device) for _ in range(2)]

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
        self.flops = {}
        for device in reversed(devices):  # the first one's settings stay
            prepare(device)
            self.flops[device.precision] = matmul_rate(device)
        self.bytes_a_second = copy_rate(devices[0])
        self.bytes_of_host = copy_rate(HOST)
        rates = ", ".join(
            f"{d.precision} {self.flops[d.precision] / 1e9:,.0f} GFLOP/s" for d in devices
        )
        self.title = (
            f"{devices[0]}; torch {torch.__version__}; plain product {rates}; "
            f"plain copy {self.bytes_a_second / 1e9:.1f} GB/s (read and written)"
        )
        print(self.title)

    def add(self, point: Point) -> None:
        """One more."""
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
        self.add(Point(over, f"{name} step, {device.precision}", size, ms, floor, peak))

    def add_evaluation(self, over: str, size: int, videos: int, classes: int) -> None:
        """Segments and mAP, which the host computes."""
        ms, read = evaluation_ms(videos, classes)
        self.add(Point(over, "segments, mAP", size, ms, 2e3 * read / self.bytes_of_host))

    def over_snippets(self) -> None:
        """Steps of both stages, in each precision."""
        for device in self.devices:
            for ftcl in (False, True):
                for snippets in (94, 188, 375, 750, 1500):
                    self.add_step("snippets", snippets, device, ftcl, snippets, CLASSES)

    def over_classes(self) -> None:
        """A step, and the evaluation."""
        for classes in (20, 50, 100, 200):
            self.add_step("classes", classes, self.devices[0], False, SNIPPETS, classes)
        for classes in (20, 50, 100, 200):
            self.add_evaluation("classes", classes, VIDEOS, classes)

    def over_videos(self) -> None:
        """Both halves of an evaluation."""
        device = self.devices[0]
        for videos in (50, 105, 210, 420):
            ms, used = in_own_process(scoring_ms, device, videos)
            floor = 2e3 * used * CHANNELS * CHANNELS * 3 / self.flops[device.precision]
            self.add(Point("test videos", f"scoring, {device.precision}", videos, ms, floor))
        for videos in (50, 105, 210, 420, 840):
            self.add_evaluation("test videos", videos, videos, CLASSES)

    def over_candidates(self) -> None:
        """Both alignments, forward and backward."""
        for name in ("FSD", "LCS"):
            for length in (5, 10, 20, 30, 60, 120):
                ms = alignment_ms(self.devices[0], name, length)
                moves = 3 * PAIRS * length**2 * FLOAT32_BYTES
                floor = 2e3 * 2 * moves / self.bytes_a_second
                self.add(Point("candidates", name, length, ms, floor))

    def over_processes(self) -> None:
        """Steps of both stages whose batch is shared."""
        device = self.devices[0]
        most = cores() if device.on_cpu else torch.cuda.device_count()
        flags = ["--device", device.device.type, "--precision", device.precision]
        flags += ["--snippets", "250", "--channels", "1024"]
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started from here on
        runs = {n: scaling.launch(n, flags) for n in (1, 2, 4, 8) if n <= most}
        for stage, name in enumerate(("ACM-Net", "FTCL-Net")):
            for n, found in runs.items():
                what = f"{name} step, {device.precision}"
                floor = runs[1][stage]["ms"] / n
                self.add(Point("processes", what, n, found[stage]["ms"], floor))


def table(points: list[Point]) -> str:
    """The points as Markdown, a row for each size."""
    lines = ["| over | size | what | ms | floor, ms | ratio | peak, GiB |", "|---" * 7 + "|"]
    for p in points:
        ratio = f"{p.ms / p.floor:.2f}" if p.ms < 10 * p.floor else f"{p.ms / p.floor:,.0f}"
        peak = f"{p.peak / 2**30:.2f}" if p.peak else ""
        lines.append(
            f"| {p.over} | {p.size} | {p.what} | {p.ms:,.2f} | {p.floor:,.3f} | {ratio} | {peak} |"
        )
    return "\n".join(lines)


def plot(points: list[Point], path: Path, title: str) -> None:
    """A panel for everything that is changed; measured drawn through, floors dashed."""
    overs = list(dict.fromkeys(p.over for p in points))
    figure, grid = plt.subplots(2, 3, figsize=(11, 7))
    panels = grid.flatten()
    for panel in panels[len(overs) :]:
        panel.axis("off")
    for panel, over in zip(panels, overs, strict=False):
        for number, what in enumerate(dict.fromkeys(p.what for p in points if p.over == over)):
            chosen = [p for p in points if (p.over, p.what) == (over, what)]
            sizes = [p.size for p in chosen]
            colour = f"C{number}"
            panel.plot(sizes, [p.ms for p in chosen], "o-", color=colour, label=what)
            panel.plot(sizes, [p.floor for p in chosen], "--", color=colour, linewidth=1)
        panel.set_xscale("log")
        panel.set_yscale("linear" if over == "processes" else "log")
        panel.set_xticks(sorted({p.size for p in points if p.over == over}))
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.minorticks_off()
        panel.tick_params(axis="x", labelsize=7)
        panel.set_xlabel(over)
        panel.set_ylabel("ms (dashed: floor)", fontsize=8)
        panel.legend(fontsize=7)
        panel.grid(alpha=0.3)
        if over == "processes":
            panel.set_ylim(bottom=0)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", help="default: fp32 or tf32, and bf16")
    parser.add_argument("--document", type=Path, help="Markdown file with the marks")
    given = parser.parse_args()
    before, after = "", ""
    if given.document:
        before, begin, rest = given.document.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            parser.error(f"{given.document} has not both marks, {BEGIN} and {END}")
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
        given.document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
        plot(measured.points, given.document.with_name("growth.png"), str(devices[0]))


if __name__ == "__main__":
    main()
