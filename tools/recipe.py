"""Times the complete recipe of the paper on synthetic data of the size of THUMOS14.

    python tools/recipe.py --output DIR [--device cuda] [--precision bf16]
                           [--acm_epochs 500] [--ftcl_epochs 25]

Writes synthetic data (200 training and 210 test videos of 213 seconds on average, 20 classes, 2048
channels, float16) into the output directory unless they are there, then calls main_thu.py as a user
would: ACM-Net with an evaluation after every epoch, FTCL-Net from it, and `--test`. For each it
prints the wall-clock time of the command and the medians per epoch; with fewer epochs than in the
paper also the time extrapolated to all of them, marked as an estimate. The mAP is that of the
synthetic data and says nothing about THUMOS14.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.runs import MAIN_AVERAGE, MAIN_METRIC, call, read_metrics, train
from utils.errors import command

PAPER_EPOCHS = {"acmnet": 500, "ftcl": 25}
DATA = ["--train_videos", "200", "--test_videos", "210", "--classes", "20"]
DATA += ["--mean_seconds", "213", "--dtype", "float16"]


def timed_training(run_dir: Path, epochs: int, *flags: object) -> float:
    """Trains one stage and prints its times.

    Returns:
        Time in seconds of all epochs of the paper, an estimate where `epochs` are fewer.
    """
    seconds = train(run_dir, epochs, *flags)
    lines = read_metrics(run_dir)
    training = [line["seconds/training"] for line in lines]
    evaluation = [line["seconds/evaluation"] for line in lines]
    print(
        f"{run_dir.name}: {seconds:.1f} s for {epochs} epochs; medians per epoch: "
        f"training {statistics.median(training):.3f} s, "
        f"evaluation {statistics.median(evaluation):.3f} s; "
        f"average mAP {MAIN_AVERAGE} of the last epoch {lines[-1][MAIN_METRIC]:.2f}, "
        f"of the best {max(line[MAIN_METRIC] for line in lines):.2f}"
    )
    paper = PAPER_EPOCHS[run_dir.name]
    if epochs == paper:
        return seconds
    # Start and end of the program are counted once, however many epochs there are.
    estimate = seconds + (paper - epochs) * (sum(training) + sum(evaluation)) / epochs
    print(f"{run_dir.name}: {estimate:.0f} s for {paper} epochs (estimate)")
    return estimate


@command("tools/recipe.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--output", type=Path, required=True, help="directory of data and runs")
    parser.add_argument("--device", default="auto", help="as of main_thu.py")
    parser.add_argument("--precision", default="auto", help="as of main_thu.py")
    parser.add_argument("--acm_epochs", type=int, default=PAPER_EPOCHS["acmnet"], metavar="N")
    parser.add_argument("--ftcl_epochs", type=int, default=PAPER_EPOCHS["ftcl"], metavar="N")
    given = parser.parse_args()
    output = given.output.resolve()
    data, acmnet, ftcl = output / "data", output / "acmnet", output / "ftcl"
    if not (data / "split_test.txt").exists():
        written = call("-m", "dataset.synthetic", "--output", data, *DATA)
        print(f"data: written in {written:.1f} s, not part of the recipe")
    common = ["--data_dir", data, "--device", given.device, "--precision", given.precision]
    seconds = timed_training(acmnet, given.acm_epochs, *common)
    start = ["--ftcl", "--checkpoint", acmnet / "THUMOS_best.pth"]
    seconds += timed_training(ftcl, given.ftcl_epochs, *common, *start)
    test = call("main_thu.py", "--test", *common, "--checkpoint", ftcl / "THUMOS_best.pth")
    complete = (given.acm_epochs, given.ftcl_epochs) == tuple(PAPER_EPOCHS.values())
    print(f"test: {test:.1f} s")
    minutes = (seconds + test) / 60
    print(f"complete recipe: {minutes:.1f} minutes{'' if complete else ' (estimate)'}")


if __name__ == "__main__":
    main()
