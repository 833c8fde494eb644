"""Time and memory of ActivityNet-1.3 training as the number of videos grows.

    python tools/synthetic_activitynet.py --annotations activity_net.v1-3.min.json \\
        --output data/synthetic_activitynet --train_videos 9649 --test_videos 500 --channels 2048
    python benchmarks/activitynet.py --data_dir data/synthetic_activitynet --videos 1000 3000 9649

For each number of training videos: the first check of all files, the check of a second start, an
epoch of ACM-Net and an evaluation by main_act.py, and its peak memory. Features are read from the
files (--feature_memory 0), as they must be where they do not fit in memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.errors import command

ROOT = Path(__file__).resolve().parents[1]
CHECK = """
import sys, time
from pathlib import Path
from config.datasets import ACTIVITYNET13 as spec
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
start = time.perf_counter()
subsets = {"train": spec.train_subset, "test": spec.test_subset}
timing = SnippetTiming(16, 25.0)
read_dataset(Path(sys.argv[1]), spec.classes, timing=timing, subsets=subsets, memory_budget=0)
print("seconds", time.perf_counter() - start)
"""


def part_of(data_dir: Path, videos: int, folder: Path) -> Path:
    """A data directory with the first training videos of another, whose files it shares."""
    for name in ("train", "test"):
        (folder / name).symlink_to((data_dir / name).resolve())
    for name in ("gt.json", "split_test.txt"):
        (folder / name).write_text((data_dir / name).read_text())
    names = (data_dir / "split_train.txt").read_text().split()[:videos]
    (folder / "split_train.txt").write_text("\n".join(names) + "\n")
    return folder


def check_seconds(data_dir: Path) -> float:
    """Time in which a new process reads and checks the data directory."""
    script = [sys.executable, "-c", CHECK, str(data_dir)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split("seconds ")[1])


def measure(data_dir: Path, videos: int) -> str:
    """A row of the table for this many training videos."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = part_of(data_dir, videos, Path(temporary))
        first, second = check_seconds(folder), check_seconds(folder)
        flags = ["--data_dir", str(folder), "--save_dir", str(folder / "run"), "--epochs", "1"]
        flags += ["--feature_memory", "0", "--without_wandb", "--device", "cpu"]
        start = time.perf_counter()
        script = [sys.executable, "main_act.py", *flags]
        subprocess.run(script, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - start
        metrics = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return (
        f"| {videos} | {first:.1f} | {second:.2f} | {metrics['seconds/training']:.0f} "
        f"| {metrics['seconds/evaluation']:.1f} | {whole:.0f} | {peak:.2f} |"
    )


@command("benchmarks/activitynet.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data_dir", type=Path, required=True, metavar="DIR")
    parser.add_argument("--videos", type=int, nargs="+", default=[1000, 3000], metavar="N")
    options = parser.parse_args()
    print(
        "| training videos | first check, s | second check, s | epoch, s | evaluation, s "
        "| run of one epoch, s | largest peak so far, GiB |\n|---|---|---|---|---|---|---|"
    )
    for videos in options.videos:
        print(measure(options.data_dir, videos), flush=True)


if __name__ == "__main__":
    main()
