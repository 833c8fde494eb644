"""Draws docs/overview.png, the figure of results in the README, from the runs of `make demo`.

python tools/overview.py --data_dir data/demo --video video_test_0000003
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from build import build_evaluator, build_network
from config.datasets import THUMOS14
from config.model_config import make_config, settings_of
from dataset.dataset import Dataset
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from engine import predict
from eval.report.timelines import draw_overview
from eval.scores import VideoScores
from eval.segments import Segments
from record.checkpoint import read_checkpoint
from utils.device import Device, choose_device
from utils.errors import UserError, command
from utils.files import write_atomically

RUNS = {"ACM-Net": "baseline/acmnet", "FTCL-Net": "ftcl/ftcl"}  # directories below save/


def evaluate(
    file: Path, data: Dataset, device: Device
) -> tuple[list[VideoScores], Segments, Segments]:
    """Evaluates a checkpoint on the test videos; returns scores, ground truth and detections."""
    checkpoint = read_checkpoint(file)
    settings = {**settings_of(checkpoint), "test": True, "checkpoint": str(file)}
    config = make_config(**settings)
    net = build_network(config, data, checkpoint)
    scores = predict(net, data.splits["test"], config.num_snippets, device)
    evaluator = build_evaluator(config, data)
    return scores, evaluator.truth, evaluator(scores).detections


@command("tools/overview.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data_dir", type=Path, default=Path("data/demo"), help="data directory")
    parser.add_argument("--video", required=True, help="name of a test video")
    parser.add_argument(
        "--window", type=float, nargs=2, metavar="S", help="visible time: start and end in seconds"
    )
    parser.add_argument("--output", type=Path, default=Path("docs/overview.png"), help="image file")
    given = parser.parse_args()
    device = choose_device("cpu", "0", "fp32")
    timing = SnippetTiming(16, 25)  # of the demonstration data set
    data = read_dataset(given.data_dir, THUMOS14.classes, ["test"], timing=timing)
    detections: dict[str, Segments] = {}
    for method, run in RUNS.items():
        file = given.data_dir / "save" / run / "THUMOS_latest.pth"
        scores, truth, detections[method] = evaluate(file, data, device)
    shown = [video for video in scores if video.name == given.video]
    if not shown:
        raise UserError(f"--video {given.video} is not in {given.data_dir}/split_test.txt")
    figure = draw_overview(
        shown[0],
        truth,
        detections,
        snippet_seconds=timing.seconds,
        window=tuple(given.window) if given.window else None,
        heading=f"{given.video} of the demonstration data set",
    )
    write_atomically(given.output, lambda file: figure.savefig(file, format="png"))


if __name__ == "__main__":
    main()
