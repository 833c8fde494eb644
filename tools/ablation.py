"""Ablation study of the contrastive losses: ACM-Net, then every variant of the second stage.

    python tools/ablation.py --data_dir DIR --output DIR --acm_epochs 200 --epochs 6 \\
        --seeds 0 1 2 [--forms control both ...] [--jobs 4] [--flags --num_snippets 128 ...]

Every run is a call of main_thu.py. Runs that are already complete in the output directory are
skipped, so the script can be stopped and started again. It prints two Markdown tables:

* average mAP (tIoU 0.1 to 0.7, in percent) of the last epoch and of the best epoch on the test
  videos, each as mean and standard deviation over the seeds, and the difference from the control
  with the same seed, which continues the training without contrastive losses;
* what the losses saw in the last epoch, as means over its steps and the seeds: which share of the
  cells LCS matched, and the norms of the features of the branches, which the feature loss pushes
  apart by a margin of 50.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.branches import BRANCHES
from tools.runs import MAIN_METRIC, read_metrics, train
from utils.errors import command

BASELINE, CONTROL = "ACM-Net", "control"
PAPER = ["--objective", "paper"]
NEITHER = ["--without_fsd", "--without_lcs"]
WEIGHTS_BY_10 = ["--loss_lamb_fsd", "0.08", "--loss_lamb_lcs", "0.01"]
# The flags of every variant of the second stage.
VARIANTS: dict[str, list[str]] = {
    CONTROL: NEITHER,
    "fsd": ["--without_lcs"],
    "lcs": ["--without_fsd"],
    "both": [],
    "paper": PAPER,
    "attention background": ["--background_candidates", "attention"],
    "low background": ["--background_candidates", "low"],
    "distinct": ["--distinct_candidates"],
    "distinct, attention": ["--distinct_candidates", "--background_candidates", "attention"],
    "paper, distinct": [*PAPER, "--distinct_candidates"],
    "weights / 10": WEIGHTS_BY_10,
    "paper, weights / 10": [*PAPER, *WEIGHTS_BY_10],
    "threshold 0.98": ["--thres", "0.98"],
    "lengths x 2": ["--fsd_len", "10", "--lcs_len", "60"],
    "control, resampled": [*NEITHER, "--resample_pairs"],
    "both, resampled": ["--resample_pairs"],
}
# Further settings, for a search; trained only if `--forms` names them.
SEARCHED: dict[str, list[str]] = {
    "weights x 3": ["--loss_lamb_fsd", "2.4", "--loss_lamb_lcs", "0.3"],
    "threshold 0.85": ["--thres", "0.85"],
    "lengths / 2": ["--fsd_len", "3", "--lcs_len", "15"],
    "rate x 3": ["--lr", "3e-4"],
    "control, rate x 3": [*NEITHER, "--lr", "3e-4"],
    "rate / 5": ["--lr", "2e-5"],
    "control, rate / 5": [*NEITHER, "--lr", "2e-5"],
}
FLAGS = VARIANTS | SEARCHED
# Values of metrics.jsonl in the second table, and their titles.
SEEN = {"lcs match share": "share of cells that LCS matches"}
SEEN |= {f"norm/{branch}": f"norm, {branch}" for branch in BRANCHES}

Metrics = list[dict[str, Any]]


def metrics(run_dir: Path, epochs: int, *flags: str) -> Metrics:
    """The metrics of every epoch of a run; trains first unless the run is complete."""
    found = read_metrics(run_dir)
    if sum(MAIN_METRIC in epoch for epoch in found) != epochs:
        shutil.rmtree(run_dir, ignore_errors=True)
        train(run_dir, epochs, *flags)
        found = read_metrics(run_dir)
    return found


def run_all(given: argparse.Namespace) -> dict[str, list[Metrics]]:
    """Trains every variant with every seed, `jobs` at a time.

    Returns:
        The metrics of each epoch of each seed, by variant.
    """
    output = given.output.resolve()
    common = ["--data_dir", str(given.data_dir.resolve()), *given.flags]

    def baseline(seed: int) -> Metrics:
        run_dir = output / f"acmnet-{seed}"
        return metrics(run_dir, given.acm_epochs, *common, "--seed", str(seed))

    def variant(name: str, seed: int) -> Metrics:
        (checkpoint,) = (output / f"acmnet-{seed}").glob("*_latest.pth")
        run_dir = output / f"{name.replace(' ', '_').replace('/', 'by')}-{seed}"
        start = ["--ftcl", "--checkpoint", str(checkpoint), "--seed", str(seed)]
        return metrics(run_dir, given.epochs, *common, *start, *FLAGS[name])

    with ThreadPoolExecutor(given.jobs) as pool:
        runs = {BASELINE: list(pool.map(baseline, given.seeds))}
        names = [name for name in given.forms for _ in given.seeds]
        found = list(pool.map(variant, names, given.seeds * len(given.forms)))
    for name, run in zip(names, found, strict=True):
        runs.setdefault(name, []).append(run)
    return runs


def control_of(name: str) -> str:
    """The control of a variant: that with the same learning rate or the same pairs."""
    _, comma, rest = f", {name}".rpartition(", ")
    own = f"{CONTROL}, {rest}" if comma else CONTROL
    return own if own in FLAGS else CONTROL


def table(runs: Mapping[str, list[Metrics]], seeds: list[int]) -> str:
    """The mAP as a Markdown table, one row per variant."""
    scores = {
        name: [[epoch[MAIN_METRIC] for epoch in run if MAIN_METRIC in epoch] for run in each]
        for name, each in runs.items()
    }
    last = {name: [epochs[-1] for epochs in each] for name, each in scores.items()}
    lines = [f"| variant | flags | last | best | last, minus control | seeds {seeds}, last |"]
    lines.append("|---|---|---|---|---|---|")
    for name, values in last.items():
        gain, control = "", control_of(name)
        if name not in (BASELINE, control) and control in last:
            gain = spread([a - b for a, b in zip(values, last[control], strict=True)], "+")
        each = " ".join(f"{value:.2f}" for value in values)
        flags = f"`{' '.join(FLAGS[name])}`" if FLAGS.get(name) else ""
        best = spread([max(epochs) for epochs in scores[name]])
        lines.append("| " + " | ".join((name, flags, spread(values), best, gain, each)) + " |")
    return "\n".join(lines)


def seen_table(runs: Mapping[str, list[Metrics]]) -> str:
    """What the losses saw in the last epoch as a Markdown table, one row per variant."""
    lines = ["| variant | " + " | ".join(SEEN.values()) + " |"]
    lines.append("|---" * (len(SEEN) + 1) + "|")
    for name, each in runs.items():
        last = [run[-1] for run in each]
        cells = [
            f"{mean(epoch[value] for epoch in last):.3g}" if value in last[0] else ""
            for value in SEEN
        ]
        lines.append("| " + " | ".join((name, *cells)) + " |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    """Mean and standard deviation as text; `sign` is "+" to show the sign of the mean."""
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.2f}{deviation}"


@command("tools/ablation.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data_dir", type=Path, required=True, help="data directory")
    parser.add_argument("--output", type=Path, required=True, help="directory of all runs")
    parser.add_argument("--acm_epochs", type=int, default=200, help="epochs of ACM-Net (200)")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of every variant (6)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (1)")
    forms = f"variants to train: {'; '.join(VARIANTS)} (all of these); {'; '.join(SEARCHED)}"
    names = list(VARIANTS)
    parser.add_argument(
        "--forms", nargs="+", default=names, choices=list(FLAGS), metavar="NAME", help=forms
    )
    flags = "flags of main_thu.py for all runs"
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help=flags)
    given = parser.parse_args()
    runs = run_all(given)
    print(table(runs, given.seeds))
    print()
    print(seen_table(runs))


if __name__ == "__main__":
    main()
