"""Time of the mAP of 31,587 detections at 9 tIoU thresholds against the reference implementation.

    python benchmarks/evaluation_map.py

Checks first that both sides (the other one is `tests/reference_map.py`) give the same average
precisions, then prints their times and the ratio. The detections are real if the environment
variable FTCL_DATA names the data directory, otherwise synthetic.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.datasets import THUMOS14
from dataset.annotations import read_database
from eval.detection.average_precision import detection_map
from eval.detection.prediction_file import read_predictions
from eval.segments import Segments, ground_truth
from tests import reference_map as reference
from utils.errors import command

DETECTIONS, INSTANCES, VIDEOS, CLASSES = 31_587, 3_358, 212, 20
TIOU = THUMOS14.tiou
REPEATS = 7


def compare_map() -> None:
    """Compares the average precisions: equality, then the time of both sides."""
    truth, predictions = tables()
    truth_frame, prediction_frame = reference.frame(truth), reference.frame(predictions)

    start = time.perf_counter()
    expected = reference.detection_map(truth_frame, prediction_frame, truth.classes, TIOU)
    slow = time.perf_counter() - start
    result = detection_map(truth, predictions, TIOU)
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12, atol=1e-15)

    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        detection_map(truth, predictions, TIOU)
        seconds.append(time.perf_counter() - start)
    fast = statistics.median(seconds)
    print(
        f"mAP of {len(predictions)} detections, {len(truth)} instances, {len(TIOU)} thresholds: "
        f"average precisions equal\n"
        f"  array code {fast:.3f} s (median of {REPEATS}), row by row {slow:.2f} s (once): "
        f"{slow / fast:.0f} times faster"
    )


def tables() -> tuple[Segments, Segments]:
    """Ground truth and detections: real ones of THUMOS14, or synthetic ones of the same size."""
    folder = os.environ.get("FTCL_DATA")
    if not folder:
        return synthetic_tables(0)
    database = read_database(Path(folder, "thumos14_derived", "gt.json"))
    truth = ground_truth(video for video in database.values() if video.subset == "test")
    return truth, read_predictions(Path(folder, "predictions", "thumos14_test.json"))


def synthetic_tables(seed: int) -> tuple[Segments, Segments]:
    """Instances in videos of one class each, and detections that are displaced instances."""
    random = np.random.default_rng(seed)
    names = tuple(f"video_{i}" for i in range(VIDEOS)), tuple(f"class_{i}" for i in range(CLASSES))
    video = np.sort((VIDEOS * random.random(INSTANCES) ** 2).astype(np.int64))
    start = random.uniform(0, 200, INSTANCES)
    length = random.lognormal(1.1, 0.8, INSTANCES)
    score = np.ones(INSTANCES)
    truth = Segments(*names, video, video % CLASSES, start, start + length, score)

    near = random.integers(INSTANCES, size=DETECTIONS)
    moved = np.abs(start[near] + length[near] * random.normal(0, 1.0, DETECTIONS))
    ends = moved + length[near] * random.lognormal(0, 0.5, DETECTIONS)
    found = Segments(
        *names, video[near], video[near] % CLASSES, moved, ends, random.random(DETECTIONS)
    )
    return truth, found


@command("benchmarks/evaluation_map.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=layout).parse_args()
    compare_map()


if __name__ == "__main__":
    main()
