"""Time and memory of an evaluation of THUMOS14 size against the reference implementations.

    python benchmarks/evaluation.py

Checks first that both sides (`tests/reference_localization.py`, `tests/reference_map.py`) give the
same results, then times them in one run and prints the ratio.
"""

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.evaluation_map import compare_map, tables
from benchmarks.random_scores import (
    CLASSES,
    SETTINGS,
    annotate,
    random_scores,
    thumos14_evaluator,
)
from config.datasets import THUMOS14
from eval.localization import localize, propose
from eval.scores import VideoScores
from tests import reference_localization as reference
from utils.errors import command

ROUNDS = 7


def compare_localization() -> None:
    """Compares upsampling, proposals and NMS: equality, then time of both sides and memory."""
    videos = random_scores()
    proposed, kept = propose(videos, CLASSES, SETTINGS), localize(videos, CLASSES, SETTINGS)
    expected = reference_segments(videos)
    np.testing.assert_allclose(
        np.stack([kept.video, kept.label, kept.score, kept.start, kept.end], 1),
        expected,
        rtol=1e-12,
        atol=1e-15,
    )
    fast, slow = median_seconds(
        lambda: localize(videos, CLASSES, SETTINGS), lambda: reference_segments(videos)
    )
    peak = peak_mebibytes(lambda: localize(videos, CLASSES, SETTINGS))
    print(
        f"upsampling, proposals and NMS of {len(videos)} videos, "
        f"{sum(video.snippets for video in videos)} snippets, {len(proposed)} proposals, "
        f"{len(kept)} kept: equal in values and order\n"
        f"  array code {fast:.3f} s, run by run {slow:.2f} s (medians of {ROUNDS}): "
        f"{slow / fast:.1f} times faster; at most {peak:.0f} MiB besides the scores"
    )


def measure_evaluation() -> None:
    """Measures everything after the forward pass: segments, mAP, video-level classification."""
    videos = random_scores()
    evaluator = thumos14_evaluator(annotate(videos))
    (seconds,) = median_seconds(lambda: evaluator(videos))
    peak = peak_mebibytes(lambda: evaluator(videos))
    print(
        f"complete evaluation of {len(videos)} videos, without the forward pass\n"
        f"  {seconds:.3f} s (median of {ROUNDS}), one process, at most {peak:.0f} MiB"
    )


def reference_segments(
    videos: Sequence[VideoScores],
) -> list[tuple[int, int, float, float, float]]:
    """The segments that the reference implementation keeps: video, class, score, start, end."""
    return [
        (number, *row)
        for number, video in enumerate(videos)
        for row in reference.non_maximum_suppression(
            reference.propose(video, len(CLASSES), SETTINGS), SETTINGS.nms_tiou, SETTINGS.nms_offset
        )
    ]


def median_seconds(*calls: Callable[[], object]) -> list[float]:
    """Median time of each call in seconds; the calls alternate."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for times, call in zip(seconds, calls, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def peak_mebibytes(call: Callable[[], object]) -> float:
    """Peak memory of a call in MiB, arrays included."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


@command("benchmarks/evaluation.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=layout).parse_args()
    compare_localization()
    compare_map(*tables(), THUMOS14.tiou)
    measure_evaluation()


if __name__ == "__main__":
    main()
