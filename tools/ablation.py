"""Ablation study of the contrastive losses: ACM-Net, then every variant of the second stage.

    python tools/ablation.py --data_dir DIR --output DIR --acm_epochs 200 --epochs 6 \\
        --seeds 0 1 2 [--forms control both ...] [--flags --num_snippets 128 ...]

Every run is a call of main_thu.py. Runs that are already complete in the output directory are
skipped, so the script can be stopped and started again. It prints a Markdown table: average mAP
(tIoU 0.1 to 0.7, in percent) of the last epoch and of the best epoch on the test videos, each as
mean and standard deviation over the seeds, and the difference from the control with the same seed,
which continues the training without contrastive losses.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.runs import MAIN_METRIC, read_metrics, train
from utils.errors import command

BASELINE, CONTROL = "ACM-Net", "control"
# The flags of every variant of the second stage.
VARIANTS: dict[str, list[str]] = {
    CONTROL: ["--without_fsd", "--without_lcs"],
    "fsd": ["--without_lcs"],
    "lcs": ["--without_fsd"],
    "both": [],
    "paper": ["--objective", "paper"],
    "attention background": ["--background_candidates", "attention"],
    "low background": ["--background_candidates", "low"],
    "distinct": ["--distinct_candidates"],
    "distinct, attention": ["--distinct_candidates", "--background_candidates", "attention"],
    "paper, distinct": ["--objective", "paper", "--distinct_candidates"],
    "weights / 10": ["--loss_lamb_fsd", "0.08", "--loss_lamb_lcs", "0.01"],
    "paper, weights / 10": [
        *["--objective", "paper", "--loss_lamb_fsd", "0.08", "--loss_lamb_lcs", "0.01"],
    ],
    "threshold 0.98": ["--thres", "0.98"],
    "lengths x 2": ["--fsd_len", "10", "--lcs_len", "60"],
    "control, resampled": ["--without_fsd", "--without_lcs", "--resample_pairs"],
    "both, resampled": ["--resample_pairs"],
}


def scores(run_dir: Path, epochs: int, *flags: str) -> list[float]:
    """The main metric of every evaluated epoch; trains first unless the run is complete."""
    found = evaluated(run_dir)
    if len(found) != epochs:
        shutil.rmtree(run_dir, ignore_errors=True)
        train(run_dir, epochs, *flags)
        found = evaluated(run_dir)
    return found


def evaluated(run_dir: Path) -> list[float]:
    """The main metric of every epoch that was evaluated so far."""
    return [line[MAIN_METRIC] for line in read_metrics(run_dir) if MAIN_METRIC in line]


def spread(values: list[float], sign: str = "") -> str:
    """Mean and standard deviation as text; `sign` is "+" to show the sign of the mean."""
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.2f}{deviation}"


def run_all(given: argparse.Namespace) -> dict[str, list[list[float]]]:
    """Trains every variant with every seed; returns the scores of each epoch, by variant."""
    output = given.output.resolve()
    common = ["--data_dir", str(given.data_dir.resolve()), *given.flags]
    runs: dict[str, list[list[float]]] = defaultdict(list)
    for seed in given.seeds:
        baseline = output / f"acmnet-{seed}"
        seeded = [*common, "--seed", str(seed)]
        runs[BASELINE].append(scores(baseline, given.acm_epochs, *seeded))
        start = ["--ftcl", "--checkpoint", str(baseline / "THUMOS_latest.pth")]
        for name in given.forms:
            run_dir = output / f"{name.replace(' ', '_').replace('/', 'by')}-{seed}"
            runs[name].append(scores(run_dir, given.epochs, *seeded, *start, *VARIANTS[name]))
    return runs


def table(runs: dict[str, list[list[float]]], seeds: list[int]) -> str:
    """The results as a Markdown table, one row per variant."""
    last = {name: [epochs[-1] for epochs in each] for name, each in runs.items()}
    best = {name: [max(epochs) for epochs in each] for name, each in runs.items()}
    lines = [f"| variant | flags | last | best | last, minus control | seeds {seeds}, last |"]
    lines.append("|---|---|---|---|---|---|")
    for name, values in last.items():
        gain = ""
        if name not in (BASELINE, CONTROL) and CONTROL in last:
            gain = spread([a - b for a, b in zip(values, last[CONTROL], strict=True)], "+")
        each = " ".join(f"{value:.2f}" for value in values)
        flags = " ".join(VARIANTS.get(name, [])) or "-"
        cells = (name, f"`{flags}`", spread(values), spread(best[name]), gain, each)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@command("tools/ablation.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data_dir", type=Path, required=True, help="data directory")
    parser.add_argument("--output", type=Path, required=True, help="directory of all runs")
    parser.add_argument("--acm_epochs", type=int, default=200, help="epochs of ACM-Net (200)")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of every variant (6)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    forms = f"variants to train (all): {'; '.join(VARIANTS)}"
    names = list(VARIANTS)
    parser.add_argument(
        "--forms", nargs="+", default=names, choices=names, metavar="NAME", help=forms
    )
    flags = "flags of main_thu.py for all runs"
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help=flags)
    given = parser.parse_args()
    print(table(run_all(given), given.seeds))


if __name__ == "__main__":
    main()
