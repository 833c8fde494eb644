"""Curves of the page: class activations and attentions, as small as a screen allows.

Letters: V videos, R curves, T sampled snippets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.report.encoding import packed
from eval.report.video_results import VideoResults
from eval.scores import VideoScores

CURVE_BYTES = 3_000_000  # of all curves of a page
# Largest number of points of a curve; the first that keeps the curves below `CURVE_BYTES` counts.
POINTS = (1500, 1000, 750, 500, 375, 250, 180, 120, 90, 60, 40)
OTHER_CLASSES = 4  # classes with an activation besides the annotated ones
INSTANCE, CONTEXT, BACKGROUND = -1, -2, -3  # number of an attention; classes have 0 and above


def curves_of(
    scores: Mapping[str, VideoScores], classes: Sequence[str], results: VideoResults
) -> tuple[dict[str, Any] | None, list[str]]:
    """The curves of all videos for the script of the page.

    A value lies at the start of its snippet. Curves with too many points are thinned to the mean
    of neighbouring snippets, and every curve is rounded to 256 steps between its own extremes.

    Args:
        scores: Scores by name of the video.
        classes: Names of the columns of `cas`.
        results: Videos of the page.

    Returns:
        The packed curves, None if there are none, and lines that say what was left out.
    """
    column = {name: i for i, name in enumerate(classes)}
    places = [column.get(name, -1) for name in results.instances.classes]
    shown = _classes_shown(results)
    rows = [
        _rows(scores[name], shown[number], places) if name in scores else []
        for number, name in enumerate(results.videos)
    ]
    lengths = np.array([len(each[0][1]) if each else 0 for each in rows], np.int64)
    counts = np.array([len(each) for each in rows], np.int64)
    if not counts.any():
        return None, []
    sizes = [int((np.minimum(lengths, most) * counts).sum()) for most in POINTS]
    fitting = [most for most, size in zip(POINTS, sizes, strict=True) if size <= CURVE_BYTES]
    if not fitting:
        return None, [
            f"The curves of {len(scores):,} videos are left out: even with {POINTS[-1]} points "
            "each they would make the page too large."
        ]
    most = fitting[0]
    thinned = lengths.max() > most
    note = f"Curves are drawn with at most {most} points per video, means of neighbouring snippets."
    values = [thin(values, most) for each in rows for _, values in each]
    low = np.array([each.min(initial=np.inf) for each in values], np.float32)
    high = np.array([each.max(initial=-np.inf) for each in values], np.float32)
    steps = [_quantized(*each) for each in zip(values, low, high, strict=True)]
    return {
        "count": packed(counts, "u2"),
        "points": packed(np.minimum(lengths, most), "u2"),
        "kind": packed([kind for each in rows for kind, _ in each], "i4"),
        "low": packed(low, "f4"),
        "high": packed(high, "f4"),
        "values": packed(np.concatenate(steps), "u1"),
    }, [note] if thinned else []


def thin(values: NDArray[np.floating], most: int) -> NDArray[np.float64]:
    """(T,) values as at most this many means of neighbouring ones."""
    if len(values) <= most:
        return values.astype(np.float64)
    edges = np.arange(most + 1) * len(values) // most
    return np.add.reduceat(values.astype(np.float64), edges[:-1]) / np.diff(edges)


def _quantized(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Each value as one of 256 steps from the lowest to the highest."""
    width = max(float(high) - float(low), 1e-12)
    return np.rint(np.clip((values - low) / width, 0, 1) * 255).astype(np.uint8)


def _rows(
    video: VideoScores, labels: Sequence[int], places: Sequence[int]
) -> list[tuple[int, NDArray[np.floating]]]:
    """Number and values of each curve of a video, none if it has no snippet."""
    if not len(video.attention):
        return []
    if video.branch_attention is None:
        rows: list[tuple[int, NDArray[np.floating]]] = [(INSTANCE, video.attention)]
    else:
        kinds = (INSTANCE, CONTEXT, BACKGROUND)
        rows = list(zip(kinds, video.branch_attention.T, strict=True))
    return rows + [(label, video.cas[:, places[label]]) for label in labels if places[label] >= 0]


def _classes_shown(results: VideoResults) -> list[list[int]]:
    """The classes of each video with an activation: annotated ones, then by highest score."""
    shown: list[list[int]] = [[] for _ in results.videos]
    for video, label in zip(results.pair_video, results.pair_label, strict=True):
        shown[video].append(int(label))
    annotated = [len(labels) for labels in shown]
    # The detections of a video come by descending score: the first one of each class counts.
    number = len(results.instances.classes)
    keys = results.detections.video * number + results.detections.label
    _, first = np.unique(keys, return_index=True)
    for key in keys[np.sort(first)].tolist():
        video, label = divmod(key, number)
        if label not in shown[video] and len(shown[video]) < annotated[video] + OTHER_CLASSES:
            shown[video].append(label)
    return shown
