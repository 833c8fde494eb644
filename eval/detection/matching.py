"""Which ground-truth instance each detection takes, at many temporal IoU thresholds at once.

Letters: K thresholds, N detections, G ground-truth instances, P pairs of the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.segments import Segments

BLOCK = (
    1_000_000  # pairs compared at a time; bounds the memory on files with millions of detections
)


class Pairs(NamedTuple):
    """Detections and instances that overlap; sorted by detection."""

    detection: NDArray[np.int64]  # (P,)
    instance: NDArray[np.int64]  # (P,)
    tiou: NDArray[np.float64]  # (P,)


def temporal_iou(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    other_start: NDArray[np.float64],
    other_end: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Intersection over union of stretches of time, element by element, shapes broadcast.

    Two stretches of no length overlap fully at the same moment and not at all otherwise; the
    released evaluator divides zero by zero there, and counts a hit in both cases.
    """
    inside = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
    union = (other_end - other_start) + (end - start) - inside
    same = (start == other_start) & (end == other_end)
    return np.divide(inside, union, out=same.astype(np.float64), where=union > 0)


def ranked(detections: Segments, truth: Segments) -> Segments:
    """The detections of known classes by falling score, with the indices of the ground truth.

    Videos and classes of the two tables are matched by name. Equal scores keep the order of the
    table. A detection in a video that the ground truth does not have keeps its place, with video
    -1; one of a class that it does not have is left out.
    """
    video = _indices(detections.videos, truth.videos)[detections.video]
    label = _indices(detections.classes, truth.classes)[detections.label]
    rows = np.flatnonzero(label >= 0)
    rows = rows[np.argsort(-detections.score[rows], kind="stable")]
    chosen = detections.take(rows)
    return replace(
        chosen, videos=truth.videos, classes=truth.classes, video=video[rows], label=label[rows]
    )


def overlapping_pairs(
    detections: Segments,
    instances: Segments,
    detection_key: NDArray[np.int64],
    instance_key: NDArray[np.int64],
    at_least: float,
) -> Pairs:
    """All pairs with the same key whose temporal IoU is `at_least` > 0.

    Args:
        detections: N detections.
        instances: G instances.
        detection_key: (N,) what has to be equal, a number for the video or for video and class.
        instance_key: (G,) likewise.
    """
    by_key = np.argsort(instance_key, kind="stable")
    first = np.searchsorted(instance_key[by_key], detection_key, side="left")
    count = np.searchsorted(instance_key[by_key], detection_key, side="right") - first
    found = []
    for rows in _blocks(count):
        detection = np.repeat(rows, count[rows])
        begin = np.cumsum(count[rows]) - count[rows]  # of each detection's pairs in this block
        step = np.arange(len(detection)) - np.repeat(begin, count[rows])
        instance = by_key[np.repeat(first[rows], count[rows]) + step]
        tiou = temporal_iou(
            detections.start[detection],
            detections.end[detection],
            instances.start[instance],
            instances.end[instance],
        )
        kept = tiou >= at_least
        found.append(Pairs(detection[kept], instance[kept], tiou[kept]))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def match(
    pairs: Pairs, tiou: NDArray[np.float64], detections: int, instances: int
) -> NDArray[np.int64]:
    """Lets every detection, best first, take the free instance that it overlaps most.

    The detections are numbered by rank: 0 chooses first. Of instances that it overlaps equally, a
    detection takes the one that comes first in the table.

    Choosing one after the other is slow in array code. But it has the same outcome as deferred
    acceptance (Gale and Shapley, 1962), for there is only one stable assignment when all
    instances prefer the same detections: every detection without an instance asks for its next best
    one, all at once and at all thresholds, an instance keeps the best rank that asks, and the
    others ask on, until nobody has anything left to ask for. A few rounds do.

    Args:
        pairs: P pairs with a temporal IoU of at least the lowest threshold.
        tiou: (K,) thresholds.
        detections: N, how many there are.
        instances: G, how many there are.

    Returns:
        (K, G) rank of the detection that took the instance, N where none did.
    """
    order = np.lexsort((pairs.instance, -pairs.tiou, pairs.detection))
    wish = pairs.instance[order]  # instances of detection 0, best first, then those of 1, ...
    number = np.bincount(pairs.detection, minlength=detections)
    begin = np.cumsum(number) - number
    # How many wishes a detection has at each threshold: the first ones, as the best come first.
    count = np.stack(
        [np.bincount(pairs.detection[pairs.tiou >= t], minlength=detections) for t in tiou]
    ).ravel()
    asked = np.zeros(len(count), np.int64)
    holder = np.full(len(tiou) * instances, detections)
    active = np.flatnonzero(count)  # threshold * N + detection
    while len(active):
        threshold, detection = np.divmod(active, detections)
        place = threshold * instances + wish[begin[detection] + asked[active]]
        before = holder[place]
        np.minimum.at(holder, place, detection)
        won = holder[place] == detection
        displaced = threshold[won] * detections + before[won]
        refused = np.concatenate([active[~won], displaced[before[won] < detections]])
        asked[refused] += 1
        active = refused[asked[refused] < count[refused]]
    return holder.reshape(len(tiou), instances)


def match_ranked(
    detections: Segments, truth: Segments, tiou: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(K, G) which of the `ranked` detections takes each instance of its video and class."""
    classes = len(truth.classes)
    pairs = overlapping_pairs(
        detections,
        truth,
        detections.video * classes + detections.label,  # negative, so unequal, in unknown videos
        truth.video * classes + truth.label,
        at_least=float(tiou.min()),
    )
    return match(pairs, tiou, len(detections), len(truth))


def _indices(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Index in `known` of each name, -1 where it is not there."""
    index = {name: i for i, name in enumerate(known)}
    return np.asarray([index.get(name, -1) for name in names], np.int64)


def _blocks(count: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Consecutive rows whose counts add up to about BLOCK; at least one block, maybe empty."""
    number = np.cumsum(count) // BLOCK
    bounds = np.flatnonzero(np.diff(number)) + 1
    yield from np.split(np.arange(len(count)), bounds)
