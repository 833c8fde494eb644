"""How cost grows with snippets, videos, classes, candidates and processes.

Each cost is compared with a lower bound, the floor.

    python benchmarks/growth.py [--device cpu|cuda] [--precisions fp32 bf16] [--document FILE.md]

All measurements use random data in the shape of the paper (16 videos or pairs, 750 snippets of
2048 channels, 20 classes, 210 test videos, 5 candidates for FSD and 30 for LCS), with one of these
varied, and the first precision unless they name another. Times are medians in milliseconds. For a
training step there is also the peak memory of its process (on CUDA: of torch), with features and
optimizer included. The floor is the time that the least possible work takes at the rate of a plain
matrix product or of a plain copy, both measured in the same run:

    training step   matrix products of the convolution, forward and gradient of the weights
    scoring         matrix product of the convolution
    segments, mAP   one write and one read of the upsampled sequences of all searched classes (host)
    FSD, LCS        one write and one read of the three step tables and of their gradient
    processes       the step of one process divided by their number; on the CPU each process has
                    one thread, on CUDA one device; 250 snippets of 1024 channels

Prints a Markdown table; with `--document docs/PERFORMANCE.md` it also replaces the text between the
two marks in that file and draws growth.png beside it.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks import scaling
from benchmarks.growth_costs import (
    HOST,
    PAIRS,
    alignment_cost,
    evaluation_cost,
    scoring_cost,
    step_cost,
)
from benchmarks.growth_points import Point, draw, markdown
from benchmarks.measuring import copy_rate, matmul_rate, prepare
from benchmarks.processes import available_cores, in_fresh_process
from benchmarks.random_scores import VIDEOS
from benchmarks.trainer import CHANNELS, CLASSES, SNIPPETS, convolution_operations
from config.model_config import make_config
from utils.device import Device, choose_device
from utils.errors import command

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
FLOAT32_BYTES = 4


class Growth:
    """Measures point after point and prints each.

    Args:
        devices: The device in each precision; the first one serves where one is enough.

    Attributes:
        points: Points measured so far.
        title: Device and measured rates, in one line.
    """

    def __init__(self, devices: list[Device]) -> None:
        self.points: list[Point] = []
        self.devices = devices
        self.matmul_rates = {}
        for device in reversed(devices):  # so that the precision of the first one stays set
            prepare(device)
            self.matmul_rates[device.precision] = matmul_rate(device)
        self.copy_rate, self.host_copy_rate = copy_rate(devices[0]), copy_rate(HOST)
        rates = ", ".join(
            f"{d.precision} {self.matmul_rates[d.precision] / 1e9:,.0f} GFLOP/s" for d in devices
        )
        self.title = (
            f"{devices[0]}; torch {torch.__version__}; matrix product {rates}; "
            f"memory copy {self.copy_rate / 1e9:.1f} GB/s (read and written)"
        )
        print(self.title)

    def add(self, point: Point) -> None:
        """Keeps and prints a point."""
        self.points.append(point)
        print(
            f"{point.over:12} {point.size:6d}  {point.what:20} {point.ms:10.2f} ms"
            f"  floor {point.floor:10.3f} ms",
            flush=True,
        )

    def add_step(
        self, over: str, size: int, device: Device, ftcl: bool, snippets: int, classes: int
    ) -> None:
        """Measures a training step."""
        name = "FTCL-Net" if ftcl else "ACM-Net"
        operations = convolution_operations(make_config(ftcl=ftcl), snippets)
        floor = operations / self.matmul_rates[device.precision] * 1e3
        ms, peak = in_fresh_process(step_cost, device, ftcl, snippets, classes)
        self.add(Point(over, f"{name} step, {device.precision}", size, ms, floor, peak))

    def add_evaluation(self, over: str, size: int, videos: int, classes: int) -> None:
        """Measures segments and mAP, which the host computes."""
        ms, read = evaluation_cost(videos, classes)
        self.add(Point(over, "segments, mAP", size, ms, 2e3 * read / self.host_copy_rate))

    def over_snippets(self) -> None:
        """Varies the snippets: steps of both stages, in each precision."""
        for device in self.devices:
            for ftcl in (False, True):
                for snippets in (94, 188, 375, 750, 1500):
                    self.add_step("snippets", snippets, device, ftcl, snippets, CLASSES)

    def over_classes(self) -> None:
        """Varies the classes: a step, and the evaluation."""
        for classes in (20, 50, 100, 200):
            self.add_step("classes", classes, self.devices[0], False, SNIPPETS, classes)
        for classes in (20, 50, 100, 200):
            self.add_evaluation("classes", classes, VIDEOS, classes)

    def over_videos(self) -> None:
        """Varies the test videos: scoring, and the evaluation of the scores."""
        device = self.devices[0]
        for videos in (50, 105, 210, 420):
            ms, snippets = in_fresh_process(scoring_cost, device, videos)
            operations = 2 * snippets * CHANNELS * CHANNELS * 3
            floor = operations / self.matmul_rates[device.precision] * 1e3
            self.add(Point("test videos", f"scoring, {device.precision}", videos, ms, floor))
        for videos in (50, 105, 210, 420, 840):
            self.add_evaluation("test videos", videos, videos, CLASSES)

    def over_candidates(self) -> None:
        """Varies the candidates: both alignments, forward and backward."""
        for name in ("FSD", "LCS"):
            for length in (5, 10, 20, 30, 60, 120):
                ms = alignment_cost(self.devices[0], name, length)
                tables = 3 * PAIRS * length**2 * FLOAT32_BYTES
                floor = 2 * 2 * tables / self.copy_rate * 1e3
                self.add(Point("candidates", name, length, ms, floor))

    def over_processes(self) -> None:
        """Varies the processes that share a batch: steps of both stages."""
        device = self.devices[0]
        most = available_cores() if device.on_cpu else torch.cuda.device_count()
        flags = ["--device", device.device.type, "--precision", device.precision]
        flags += ["--snippets", "250", "--channels", "1024"]
        os.environ["OMP_NUM_THREADS"] = "1"  # of all processes started from here on
        runs = {n: scaling.launch(n, flags) for n in (1, 2, 4, 8) if n <= most}
        for stage, name in enumerate(("ACM-Net", "FTCL-Net")):
            for n, found in runs.items():
                what = f"{name} step, {device.precision}"
                floor = runs[1][stage]["ms"] / n
                self.add(Point("processes", what, n, found[stage]["ms"], floor))


@command("benchmarks/growth.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precisions", nargs="+", help="default: fp32 (on CUDA tf32) and bf16")
    parser.add_argument("--document", type=Path, help="Markdown file that contains the marks")
    given = parser.parse_args()
    before, after = "", ""
    if given.document:
        before, begin, rest = given.document.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            parser.error(f"{given.document} lacks the mark {END if begin else BEGIN}; add it")
    names = given.precisions or ["auto", "bf16"]
    growth = Growth([choose_device(given.device, "0", name) for name in names])
    growth.over_snippets()
    growth.over_classes()
    growth.over_videos()
    growth.over_candidates()
    growth.over_processes()
    text = f"{growth.title}\n\n{markdown(growth.points)}"
    print(text)
    if given.document:
        given.document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
        draw(growth.points, given.document.with_name("growth.png"), str(growth.devices[0]))


if __name__ == "__main__":
    main()
