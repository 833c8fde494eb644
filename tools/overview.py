"""Draws the picture at the head of the README from the runs of `make demo`.

python benchmarks/overview.py --data_dir data/demo --video video_test_0000003
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from build import build_evaluator, build_network
from config.class_names import CLASS_NAMES
from config.model_config import make_config, settings_of
from dataset.layouts import read_dataset
from engine import predict
from eval.report.timelines import draw_overview
from eval.segments import Segments
from record.checkpoint import read_checkpoint
from utils.device import choose_device
from utils.files import write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", type=Path, default=Path("data/demo"))
    parser.add_argument("--video", required=True)
    parser.add_argument("--window", type=float, nargs=2, help="seconds to show")
    parser.add_argument("--output", type=Path, default=Path("docs/overview.png"))
    given = parser.parse_args()
    device = choose_device("cpu", "0", "fp32")
    data = read_dataset(given.data_dir, CLASS_NAMES["THUMOS"], ["test"], snippet_seconds=0.64)
    detections: dict[str, Segments] = {}
    for method, run in (("ACM-Net", "baseline/acmnet"), ("FTCL-Net", "ftcl/ftcl")):
        file = given.data_dir / "save" / run / "THUMOS_latest.pth"
        checkpoint = read_checkpoint(file)
        settings = {**settings_of(checkpoint), "test": True, "checkpoint": str(file)}
        config = make_config(**settings)
        net = build_network(config, data, checkpoint)
        scores = predict(net, data.splits["test"], config.num_snippets, device)
        protocol = build_evaluator(config, data)
        detections[method] = protocol(scores).detections
    video = next(score for score in scores if score.name == given.video)
    figure = draw_overview(
        video,
        protocol.truth,
        detections,
        snippet_seconds=config.snippet_seconds,
        window=tuple(given.window) if given.window else None,
        heading=f"{given.video} of the demonstration set",
    )
    write_atomically(given.output, lambda file: figure.savefig(file, format="png"))


if __name__ == "__main__":
    main()
