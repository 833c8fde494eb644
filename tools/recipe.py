"""The whole recipe of the paper on synthetic data of the full size, by the clock.

    python benchmarks/recipe.py --output DIR [--device cuda] [--precision bf16]
                                [--acm_epochs 500] [--ftcl_epochs 25]

Writes a made-up THUMOS14 (200 training and 210 test videos of 213 seconds on average, 20 classes,
2048 channels, float16) into the output folder unless it is there, then calls main_thu.py as a user
would: ACM-Net with an evaluation after every epoch, FTCL-Net from it, and `--test`. Prints for
each what the clock said from start to end and the medians of an epoch; with fewer epochs than the
paper's also what the epochs give for all of them, marked as an estimate. mAP is that of the
made-up data and says nothing about THUMOS14.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAPER_EPOCHS = {"acmnet": 500, "ftcl": 25}
DATA = ["--train_videos", "200", "--test_videos", "210", "--classes", "20"]
DATA += ["--mean_seconds", "213", "--dtype", "float16"]


def timed(*arguments: object) -> float:
    """Seconds that a command of the repository takes."""
    command = [sys.executable, *map(str, arguments)]
    print("+", " ".join(command[1:]), flush=True)
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def train(folder: Path, epochs: int, *arguments: object) -> float:
    """Trains one stage anew, prints its times; the seconds that the paper's epochs take."""
    given = ["--without_wandb", "--save_dir", folder, "--epochs", epochs]
    seconds = timed("main_thu.py", *given, *arguments)
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    training, evaluation = (
        statistics.median(line[f"seconds/{part}"] for line in lines)
        for part in ("training", "evaluation")
    )
    inside = sum(line["seconds/training"] + line["seconds/evaluation"] for line in lines)
    paper = PAPER_EPOCHS[folder.name]
    whole = seconds + (paper - epochs) * inside / epochs
    best = max(line["average .1-.7"] for line in lines)
    print(
        f"{folder.name}: {seconds:.1f} s for {epochs} epochs; an epoch, medians: training "
        f"{training:.3f} s, evaluation {evaluation:.3f} s; mAP .1-.7 last epoch "
        f"{lines[-1]['average .1-.7']:.2f}, best {best:.2f}"
    )
    if epochs != paper:
        print(f"{folder.name}: {whole:.0f} s for {paper} epochs, an estimate")
    return whole


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--output", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--acm_epochs", type=int, default=PAPER_EPOCHS["acmnet"])
    parser.add_argument("--ftcl_epochs", type=int, default=PAPER_EPOCHS["ftcl"])
    given = parser.parse_args()
    data = given.output.resolve() / "data"
    if not (data / "split_test.txt").exists():
        written = timed("-m", "dataset.synthetic", "--output", data, *DATA)
        print(f"data: {written:.1f} s to write, not part of the recipe")
    common = ["--data_dir", data, "--device", given.device, "--precision", given.precision]
    acmnet, ftcl = data.parent / "acmnet", data.parent / "ftcl"
    seconds = train(acmnet, given.acm_epochs, *common)
    checkpoint = acmnet / "THUMOS_best.pth"
    seconds += train(ftcl, given.ftcl_epochs, *common, "--ftcl", "--checkpoint", checkpoint)
    test = timed("main_thu.py", "--test", *common, "--checkpoint", ftcl / "THUMOS_best.pth")
    whole = (given.acm_epochs, given.ftcl_epochs) == tuple(PAPER_EPOCHS.values())
    minutes = (seconds + test) / 60
    print(f"test: {test:.1f} s")
    print(f"the recipe: {minutes:.1f} minutes{'' if whole else ', an estimate'}")


if __name__ == "__main__":
    main()
