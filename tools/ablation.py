"""Do the contrasts help? Trains ACM-Net, then every form of the second stage from it, and compares.

    python benchmarks/ablation.py --data_dir DIR --output DIR --acm_epochs 200 --epochs 6 \\
        --seeds 0 1 2 [--forms control both ...] [--flags --num_snippets 128 ...]

Every run is a call of main_thu.py and is skipped if it is already complete in the output folder, so
the script can be stopped and called again. Prints a Markdown table: mAP (average .1-.7, percent) at
the last epoch and at the best on the test videos, mean and standard deviation over the seeds, and
the difference to the control of the same seed.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).resolve().parents[1]
FORMS: dict[str, list[str]] = {
    "control": ["--without_fsd", "--without_lcs"],
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


def run(folder: Path, epochs: int, arguments: list[str]) -> list[float]:
    """Scores of every epoch of one run of main_thu.py; runs it unless it is complete."""
    scores = read_scores(folder)
    if len(scores) != epochs:
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "main_thu.py", "--without_wandb", "--save_dir", str(folder)]
        command += ["--epochs", str(epochs), *arguments]
        print("+", " ".join(command[1:]), file=sys.stderr, flush=True)
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        scores = read_scores(folder)
    return scores


def read_scores(folder: Path) -> list[float]:
    """The average mAP of every epoch that was evaluated."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [score for line in lines if (score := json.loads(line).get("average .1-.7")) is not None]


def spread(values: list[float], sign: str = "") -> str:
    """Mean and standard deviation as text."""
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.2f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--acm_epochs", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help="for every run")
    given = parser.parse_args()
    common = ["--data_dir", str(given.data_dir.resolve()), *given.flags]

    last: dict[str, list[float]] = {"ACM-Net": []}
    best: dict[str, list[float]] = {"ACM-Net": []}
    for seed in given.seeds:
        base = given.output.resolve() / f"acmnet-{seed}"
        scores = run(base, given.acm_epochs, [*common, "--seed", str(seed)])
        last["ACM-Net"].append(scores[-1])
        best["ACM-Net"].append(max(scores))
        start = ["--ftcl", "--checkpoint", str(base / "THUMOS_latest.pth"), "--seed", str(seed)]
        for form in given.forms:
            folder = given.output.resolve() / f"{form.replace(' ', '_').replace('/', 'by')}-{seed}"
            scores = run(folder, given.epochs, [*common, *start, *FORMS[form]])
            last.setdefault(form, []).append(scores[-1])
            best.setdefault(form, []).append(max(scores))

    print(f"| form | flags | last | best | last, against the control | seeds {given.seeds}, last |")
    print("|---|---|---|---|---|---|")
    for form, values in last.items():
        gain = ""
        if form not in ("ACM-Net", "control") and "control" in last:
            gain = spread([a - b for a, b in zip(values, last["control"], strict=True)], "+")
        each = " ".join(f"{value:.2f}" for value in values)
        flags = " ".join(FORMS.get(form, [])) or "-"
        print(f"| {form} | `{flags}` | {spread(values)} | {spread(best[form])} | {gain} | {each} |")


if __name__ == "__main__":
    main()
