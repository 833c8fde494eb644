"""Time of the mAP of 31,587 detections at 9 tIoU thresholds against the reference implementation.

    python benchmarks/evaluation_map.py
    python benchmarks/evaluation_map.py --activitynet

Checks first that both sides (the other one is `tests/reference_map.py`) give the same average
precisions, then prints their times and the ratio. The detections are real if the environment
variable FTCL_DATA names the data directory, otherwise synthetic. With --activitynet they are
synthetic ones of 100 and 200 classes, 10^5 and 10^6 of them, at tIoU 0.5:0.95:0.05; the reference
implementation, which follows the algorithm of the ActivityNet toolkit, is only run on the former.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.datasets import ACTIVITYNET13, THUMOS14
from dataset.annotations import read_database
from eval.detection.average_precision import detection_map
from eval.detection.prediction_file import read_predictions
from eval.segments import Segments, ground_truth
from tests import reference_map as reference
from utils.errors import command

DETECTIONS, INSTANCES, VIDEOS, CLASSES = 31_587, 3_358, 212, 20
LARGE = ((10**5, 3_459, 2_303, 100), (10**6, 7_293, 4_728, 200))  # in the same order
REPEATS = 7


def compare_map(
    truth: Segments, predictions: Segments, tiou: Sequence[float], with_reference: bool = True
) -> None:
    """Compares the average precisions: equality, then the time of both sides."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = detection_map(truth, predictions, tiou)
        seconds.append(time.perf_counter() - start)
    fast = statistics.median(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"mAP of {len(predictions)} detections, {len(truth)} instances of {len(truth.classes)} "
        f"classes, {len(tiou)} thresholds\n"
        f"  array code {fast:.3f} s (median of {REPEATS}), peak memory so far {peak:.0f} MiB"
    )
    if not with_reference:
        return
    frames = reference.frame(truth), reference.frame(predictions)
    start = time.perf_counter()
    expected = reference.detection_map(*frames, truth.classes, tiou)
    slow = time.perf_counter() - start
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12, atol=1e-15)
    ratio = slow / fast
    print(f"  average precisions equal; row by row {slow:.2f} s (once): {ratio:.0f} times faster")


def tables() -> tuple[Segments, Segments]:
    """Ground truth and detections: real ones of THUMOS14, or synthetic ones of the same size."""
    folder = os.environ.get("FTCL_DATA")
    if not folder:
        return synthetic_tables(DETECTIONS, INSTANCES, VIDEOS, CLASSES)
    database = read_database(Path(folder, "thumos14_derived", "gt.json"))
    truth = ground_truth(video for video in database.values() if video.subset == "test")
    return truth, read_predictions(Path(folder, "predictions", "thumos14_test.json"))


def synthetic_tables(
    detections: int, instances: int, videos: int, classes: int
) -> tuple[Segments, Segments]:
    """Instances in videos of one class each, and detections that are displaced instances."""
    random = np.random.default_rng(0)
    names = tuple(f"video_{i}" for i in range(videos)), tuple(f"class_{i}" for i in range(classes))
    video = np.sort((videos * random.random(instances) ** 2).astype(np.int64))
    start = random.uniform(0, 200, instances)
    length = random.lognormal(1.1, 0.8, instances)
    score = np.ones(instances)
    truth = Segments(*names, video, video % classes, start, start + length, score)

    near = random.integers(instances, size=detections)
    moved = np.abs(start[near] + length[near] * random.normal(0, 1.0, detections))
    ends = moved + length[near] * random.lognormal(0, 0.5, detections)
    found = Segments(
        *names, video[near], video[near] % classes, moved, ends, random.random(detections)
    )
    return truth, found


@command("benchmarks/evaluation_map.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--activitynet", action="store_true", help="larger tables, see above")
    if parser.parse_args().activitynet:
        for size in LARGE:
            tables_of_size = synthetic_tables(*size)
            compare_map(*tables_of_size, ACTIVITYNET13.tiou, with_reference=size == LARGE[0])
    else:
        compare_map(*tables(), THUMOS14.tiou)


if __name__ == "__main__":
    main()
