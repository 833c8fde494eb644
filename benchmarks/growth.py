"""How cost grows with snippets, videos, classes, candidates and processes; a floor beside each.

    python benchmarks/growth.py [--device cpu|cuda] [--precision fp32] [--document FILE.md]

Everything runs on random data of the paper's shape (16 videos or pairs, 750 snippets of 2048
channels, 20 classes, 210 test videos, 5 candidates for FSD and 30 for LCS) with one of these
changed. Times are medians in milliseconds. The floor is what the least work would take at the rate
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.ticker import ScalarFormatter

from benchmarks import evaluation, scaling
from benchmarks.measuring import copy_rate, in_own_process, matmul_rate, median_ms
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
VIDEOS = 210
UPSAMPLING, FLOAT64_BYTES = 20, 8


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        over: what is changed.
        what: what is timed.
        size: value of what is changed.
        ms: milliseconds.
        floor: milliseconds, or NaN where there is none.
    """

    over: str
    what: str
    size: int
    ms: float
    floor: float


def step_ms(device: Device, ftcl: bool, snippets: int, classes: int) -> float:
    """Milliseconds of a training step."""
    _prepare(device)
    trainer = Trainer(make_config(ftcl=ftcl), device, snippets, classes)
    for _ in range(WARM_UP):
        trainer.step()
    trainer.clock.times.clear()
    for _ in range(3):
        trainer.step()
    return trainer.clock.median("step")


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
    tables = [torch.rand(16, length, length, device=device.torch) for _ in range(2)]

    def run() -> None:
        match, gap = (table.requires_grad_() for table in tables)
        if name == "FSD":
            score = fine_grained_sequence_distance(match, gap, gap)
        else:
            score = longest_common_subsequence(match, 0.92)
        torch.autograd.grad(score.sum(), [match])

    return median_ms(device, run)


def measure(device: Device, most_processes: int) -> list[Point]:
    """All points, a line printed for each."""
    flops, bytes_a_second = matmul_rate(device), copy_rate(device)
    print(
        f"{device}; torch {torch.__version__}; plain product {flops / 1e9:,.0f} GFLOP/s, "
        f"plain copy {bytes_a_second / 1e9:.1f} GB/s (read and written)"
    )
    points: list[Point] = []

    def add(over: str, what: str, size: int, ms: float, floor: float) -> None:
        points.append(Point(over, what, size, ms, floor))
        print(f"{over:12} {size:6d}  {what:14} {ms:10.2f} ms  floor {floor:10.3f} ms", flush=True)

    for ftcl, what in ((False, "ACM-Net step"), (True, "FTCL-Net step")):
        for snippets in (94, 188, 375, 750, 1500):
            floor = products(make_config(ftcl=ftcl), snippets) / flops * 1e3
            ms = in_own_process(step_ms, device, ftcl, snippets, CLASSES)
            add("snippets", what, snippets, ms, floor)
    floor = products(make_config()) / flops * 1e3
    for classes in (20, 50, 100, 200):
        ms = in_own_process(step_ms, device, False, SNIPPETS, classes)
        add("classes", "ACM-Net step", classes, ms, floor)
    for classes in (20, 50, 100, 200):
        ms, size = evaluation_ms(device, VIDEOS, classes)
        add("classes", "segments, mAP", classes, ms, 2e3 * size / bytes_a_second)
    for videos in (50, 105, 210, 420):
        ms, used = in_own_process(scoring_ms, device, videos)
        add("test videos", "scoring", videos, ms, 2e3 * used * CHANNELS * CHANNELS * 3 / flops)
    for videos in (50, 105, 210, 420, 840):
        ms, size = evaluation_ms(device, videos, CLASSES)
        add("test videos", "segments, mAP", videos, ms, 2e3 * size / bytes_a_second)
    for name, moves in (("FSD", 3), ("LCS", 3)):
        for length in (5, 10, 20, 30, 60, 120):
            size = 2 * moves * 16 * length**2 * 4
            floor = 2e3 * size / bytes_a_second
            add("candidates", name, length, alignment_ms(device, name, length), floor)
    counts = [n for n in (1, 2, 4, 8) if n <= most_processes]
    flags = ["--device", device.torch.type, "--precision", device.precision]
    runs = {
        n: scaling.launch(n, [*flags, "--snippets", "250", "--channels", "1024"]) for n in counts
    }
    for stage, what in enumerate(("ACM-Net step", "FTCL-Net step")):
        alone = runs[1][stage]["ms"]
        for n in counts:
            add("processes", what, n, runs[n][stage]["ms"], alone / n)
    return points


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
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--document", type=Path, help="Markdown file with the marks")
    given = parser.parse_args()
    device = choose_device(given.device, "0", given.precision)
    on_cpu = device.torch.type == "cpu"
    most = len(os.sched_getaffinity(0)) if on_cpu else torch.cuda.device_count()
    points = measure(device, most)
    text = table(points)
    print(text)
    if given.document:
        before, _, rest = given.document.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        given.document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
        plot(points, given.document.with_name("growth.png"), str(device))


if __name__ == "__main__":
    main()
