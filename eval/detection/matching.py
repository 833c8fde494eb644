"""Which ground-truth instance each detection takes, for many temporal IoU thresholds at once.

Letters: K thresholds, N detections, G ground-truth instances, P pairs of the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.ranges import blocks, expand_ranges, search_groups
from eval.segments import Segments
from eval.sorting import sort_by_group, stable_argsort

Overlap = Callable[..., NDArray[np.float64]]  # of start, end, other start, other end
BLOCK = 1_000_000  # pairs compared at once; bounds the memory for millions of detections


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
    """Intersection over union of time intervals, element by element, shapes broadcast.

    Two intervals of length zero overlap fully at the same moment and not at all otherwise; the
    official evaluation divides zero by zero there and counts a true positive in both cases. An
    interval that ends before it starts overlaps nothing, as in the official evaluation.
    """
    inside = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
    union = (other_end - other_start) + (end - start) - inside
    same = (start == other_start) & (end == other_end) & (start <= end)
    return np.divide(inside, union, out=same.astype(np.float64), where=union > 0)


def ranked(detections: Segments, truth: Segments) -> Segments:
    """The detections of known classes by descending score, with the indices of the ground truth.

    Videos and classes of the two tables are matched by name. Equal scores keep the order of the
    table. A detection in a video outside the ground truth keeps its rank, with video -1; one of a
    class outside the ground truth is left out.
    """
    video = _indices(detections.videos, truth.videos)[detections.video]
    label = _indices(detections.classes, truth.classes)[detections.label]
    rows = np.flatnonzero(label >= 0)
    rows = rows[stable_argsort(-detections.score[rows])]
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
    overlap: Overlap = temporal_iou,
) -> Pairs:
    """All pairs with the same key whose temporal IoU is at least `at_least` (> 0).

    Args:
        detections: N detections.
        instances: G instances.
        detection_key: (N,) number of the video, or of the video and class, of each detection.
        instance_key: (G,) the same of each instance; pairs have equal keys.
        at_least: Smallest temporal IoU of a pair.
        overlap: Computes the temporal IoU.
    """
    by_start = sort_by_group(np.argsort(instances.start, kind="stable"), instance_key)
    table, key = instances.take(by_start), instance_key[by_start]
    # Only these rows can overlap a detection: the last ones to start before it ends, from the
    # first one by which an instance ends after it starts.
    first = search_groups(key, table.end, detection_key, detections.start, "left")
    end = search_groups(key, table.start, detection_key, detections.end, "right")
    count = np.maximum(end - first, 0)
    found = []
    for rows in blocks(count, BLOCK):
        of_range, row = expand_ranges(first[rows], count[rows])
        detection = rows[of_range]
        tiou = overlap(
            detections.start[detection], detections.end[detection], table.start[row], table.end[row]
        )
        kept = tiou >= at_least
        found.append(Pairs(detection[kept], by_start[row[kept]], tiou[kept]))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def match(
    pairs: Pairs, tiou: NDArray[np.float64], detections: int, instances: int
) -> NDArray[np.int64]:
    """Assigns to every detection, best first, the free instance that it overlaps most.

    The detections are numbered by rank: 0 chooses first. Of instances that it overlaps equally, a
    detection takes the one that comes first in the table.

    Choosing one after the other is slow in array code, but has the same outcome as deferred
    acceptance (Gale and Shapley, 1962), because there is only one stable assignment if all
    instances prefer the same detections. Every detection without an instance requests its next best
    one, at all thresholds at once; an instance keeps the best rank among its requests, and the
    refused detections continue until none has an instance left to request. A few rounds suffice.

    Args:
        pairs: P pairs with a temporal IoU of at least the lowest threshold.
        tiou: (K,) thresholds.
        detections: N, number of detections.
        instances: G, number of instances.

    Returns:
        (K, G) rank of the detection that took the instance, N where none did.
    """
    order = np.lexsort((pairs.instance, -pairs.tiou, pairs.detection))
    choice = pairs.instance[order]  # instances of detection 0, best first, then those of 1, ...
    number = np.bincount(pairs.detection, minlength=detections)
    begin = np.cumsum(number) - number
    # A threshold leaves each detection its first choices, as these have the highest tIoU.
    count = np.stack(
        [np.bincount(pairs.detection[pairs.tiou >= t], minlength=detections) for t in tiou]
    ).ravel()
    requests = np.zeros(len(count), np.int64)
    holder = np.full(len(tiou) * instances, detections)
    active = np.flatnonzero(count)  # threshold * N + detection
    while len(active):
        threshold, detection = np.divmod(active, detections)
        place = threshold * instances + choice[begin[detection] + requests[active]]
        before = holder[place]
        np.minimum.at(holder, place, detection)
        won = holder[place] == detection
        displaced = threshold[won] * detections + before[won]
        refused = np.concatenate([active[~won], displaced[before[won] < detections]])
        requests[refused] += 1
        active = refused[requests[refused] < count[refused]]
    return holder.reshape(len(tiou), instances)


def match_ranked(
    detections: Segments, truth: Segments, tiou: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(K, G) rank of the detection of its video and class that takes each instance, see `match`."""
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
    """Index in `known` of each name, -1 if it is not there."""
    index = {name: i for i, name in enumerate(known)}
    return np.asarray([index.get(name, -1) for name in names], np.int64)
