"""Evaluation at the size of the paper against the reference implementations in tests/.

    python benchmarks/evaluation.py

Checks first that both sides give the same results, then times them in one run and prints the ratio.
"""

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.evaluation_map import bench_map
from config.datasets import THUMOS14
from dataset.annotations import Segment, Video
from eval.evaluator import Evaluator
from eval.localization import localize, propose
from eval.scores import VideoScores
from tests import reference_localization as reference

VIDEOS, SNIPPETS, SAMPLED, INSTANCES = 210, 60_685, 750, 3_311
CLASSES = [f"class_{c}" for c in range(20)]
SETTINGS = THUMOS14.localization
ROUNDS = 7


def bench_proposals() -> None:
    """Upsampling, proposals and NMS: equality, then the medians of both sides and the memory."""
    videos = paper_scores()
    proposed, kept = propose(videos, CLASSES, SETTINGS), localize(videos, CLASSES, SETTINGS)
    expected = reference_rows(videos)
    np.testing.assert_allclose(
        np.stack([kept.video, kept.label, kept.score, kept.start, kept.end], 1),
        expected,
        rtol=1e-12,
        atol=1e-15,
    )
    fast, slow = medians(
        lambda: localize(videos, CLASSES, SETTINGS), lambda: reference_rows(videos)
    )
    peak = peak_mebibytes(lambda: localize(videos, CLASSES, SETTINGS))
    print(
        f"upsampling, proposals and NMS of {len(videos)} videos, "
        f"{sum(video.snippets for video in videos)} snippets, {len(proposed)} proposals, "
        f"{len(kept)} kept: equal in values and order\n"
        f"  array code {fast:.3f} s, run by run {slow:.2f} s (medians of {ROUNDS}): "
        f"{slow / fast:.1f} times faster; at most {peak:.0f} MiB besides the scores"
    )


def bench_pass() -> None:
    """Everything after the forward pass: segments, mAP at tIoU, video-level classification."""
    videos = paper_scores()
    database = annotations(videos)
    evaluator = make_evaluator(database, CLASSES)
    seconds, _ = medians(lambda: evaluator(videos), lambda: None)
    peak = peak_mebibytes(lambda: evaluator(videos))
    print(
        f"a whole evaluation of {len(videos)} videos, forward pass excluded\n"
        f"  {seconds:.3f} s (median of {ROUNDS}), one process, at most {peak:.0f} MiB"
    )


def make_evaluator(database: dict[str, Video], classes: list[str]) -> Evaluator:
    """An evaluator of all videos with the settings of THUMOS14."""
    tiou, average = THUMOS14.tiou, THUMOS14.main_average
    return Evaluator(database, list(database), classes, tiou, SETTINGS, average)


def paper_scores(seed: int = 0) -> list[VideoScores]:
    """Smooth scores with peaks; lengths that add up to those of THUMOS14's test videos."""
    random = np.random.default_rng(seed)
    lengths = random.lognormal(0.0, 0.8, VIDEOS)
    lengths = np.maximum((lengths / lengths.sum() * SNIPPETS).astype(int), 20)
    lengths[np.argmax(lengths)] += SNIPPETS - lengths.sum()
    return [video_scores(f"video_{i}", int(n), random) for i, n in enumerate(lengths)]


def video_scores(
    name: str, snippets: int, random: np.random.Generator, classes: int = len(CLASSES)
) -> VideoScores:
    """Scores of one class, in one of ten videos of two; an action about every 18 snippets."""
    length = min(snippets, SAMPLED)
    label = int(random.integers(classes))
    action = np.zeros(length)
    for _ in range(max(1, length // 18)):
        middle, width = random.uniform(0, length), random.uniform(2, 8)
        peak = np.exp(-(((np.arange(length) - middle) / width) ** 2))
        action = np.maximum(action, random.uniform(0.3, 1) * peak)
    logits = random.normal(0, 0.5, (length, classes + 1))
    logits[:, label] += 6 * action
    logits[:, -1] += 3
    cas = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    class_scores = np.zeros(classes + 1)
    class_scores[label] = 0.9
    if random.uniform() < 0.1:
        class_scores[(label + 1) % classes] = 0.3
    attention = 1 / (1 + np.exp(2 - 4 * action + random.normal(0, 0.2, length)))
    return VideoScores(name, snippets, *map(as_float32, (cas, attention, class_scores)))


def annotations(
    videos: list[VideoScores], classes: list[str] = CLASSES, instances: int = INSTANCES
) -> dict[str, Video]:
    """As many instances as THUMOS14's test videos have, near some of the detections."""
    found = localize(videos, classes, SETTINGS)
    random = np.random.default_rng(0)
    chosen = np.sort(random.choice(len(found), instances, replace=False))
    segments: list[list[Segment]] = [[] for _ in videos]
    for row in chosen.tolist():
        start, end = float(found.start[row]), float(found.end[row])
        moved = start + 0.2 * (end - start) * random.uniform()
        segments[found.video[row]].append(Segment(moved, end, classes[found.label[row]]))
    return {
        video.name: Video(video.name, "test", None, tuple(listed))
        for video, listed in zip(videos, segments, strict=True)
    }


def reference_rows(videos: list[VideoScores]) -> list[tuple[int, int, float, float, float]]:
    """(video, class, score, start, end) of what the reference implementation keeps."""
    return [
        (number, *row)
        for number, video in enumerate(videos)
        for row in reference.non_maximum_suppression(
            reference.propose(video, len(CLASSES), SETTINGS), SETTINGS.nms_tiou, SETTINGS.nms_offset
        )
    ]


def medians(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two alternating calls."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for times, call in zip(seconds, (one, other), strict=True):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def peak_mebibytes(call: Callable[[], object]) -> float:
    """Peak memory of a call, arrays included."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def as_float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)


if __name__ == "__main__":
    bench_proposals()
    bench_map()
    bench_pass()
