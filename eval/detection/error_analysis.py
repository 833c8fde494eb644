"""Error analysis (DETAD): kinds of error among the best detections, and missed instances.

The analysis follows DETAD (Alwassel et al., Diagnosing Error in Temporal Action Detectors,
ECCV 2018): false positive profile, and false negatives by the characteristics of the instance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.datasets import THUMOS14
from eval.detection.matching import Pairs, match, overlapping_pairs, ranked
from eval.segments import Segments
from utils.errors import UserError

KINDS = ("true positive", "duplicate", "localization", "wrong class", "background")
# The analysis looks at the best 1 G to 10 G detections of a class with G instances.
BEST = tuple(f"{k}G" for k in range(1, 11))


class MissedInstances(NamedTuple):
    """Missed instances by ranges of one characteristic.

    Attributes:
        characteristic: Its name.
        ranges: Names of the R ranges.
        instances: (R,) number of instances in each range.
        missed: (R,) number of those that no detection finds.
    """

    characteristic: str
    ranges: tuple[str, ...]
    instances: NDArray[np.int64]
    missed: NDArray[np.int64]


@dataclass(frozen=True)
class ErrorAnalysis:
    """Kinds of the best detections, and the instances that these miss.

    Attributes:
        tiou: Temporal IoU from which a detection is correct.
        background_tiou: Temporal IoU below which a detection is unrelated to an instance.
        errors: (10, 5) number of detections of each of `KINDS` among the best k G detections of
            all classes together, k = 1 to 10 (`BEST`); a row includes the one before.
        missed_by_length: By the length of the instance.
        missed_by_number: By the number of instances of its class in the video.
    """

    tiou: float
    background_tiou: float
    errors: NDArray[np.int64]
    missed_by_length: MissedInstances
    missed_by_number: MissedInstances


def analyze_errors(
    ground_truth: Segments,
    predictions: Segments,
    tiou: float = 0.5,
    *,
    background_tiou: float = 0.1,
    length_edges: Sequence[float] = THUMOS14.length_edges,
    number_edges: Sequence[float] = THUMOS14.number_edges,
) -> ErrorAnalysis:
    """Counts the best detections by kind and the instances that they miss.

    Of each class with G instances in the ground truth, the k G detections of highest score (equal
    ones in the order of the table) are analyzed, for k = 1 to 10. Each is the first of `KINDS` that
    applies, where overlap means temporal IoU with an instance in the same video:

    * true positive: finds an instance, exactly as for the mAP at this threshold;
    * duplicate: overlaps an instance of its class by `tiou` or more, already matched by a
      higher-scoring detection;
    * localization: overlaps an instance of its class by `background_tiou` or more, below `tiou`;
    * wrong class: overlaps an instance of another class by `background_tiou` or more (DETAD's wrong
      label and confusion errors);
    * background: everything else, also in videos outside the ground truth.

    An instance is missed if none of the best 10 G detections of its class finds it.

    Args:
        ground_truth: Instances; scores are not read.
        predictions: Detections. Videos and classes of the two tables are matched by name.
        tiou: Above `background_tiou`, at most 1.
        background_tiou: Above 0.
        length_edges: Ascending seconds; a range goes from above one edge up to and including the
            next.
        number_edges: Ascending numbers of instances of the class in the video, likewise.

    Raises:
        UserError: If thresholds or edges are out of range or order.
    """
    if not 0 < background_tiou < tiou <= 1:
        raise UserError(
            f"error tIoU {tiou:g} and background tIoU {background_tiou:g} do not fit together; "
            "wanted 0 < background < error <= 1"
        )
    detections, band = _best(ranked(predictions, ground_truth), ground_truth)
    pairs = overlapping_pairs(
        detections, ground_truth, detections.video, ground_truth.video, background_tiou
    )
    same = detections.label[pairs.detection] == ground_truth.label[pairs.instance]
    of_class = Pairs(*(column[same] for column in pairs))
    holder = match(of_class, np.array([tiou]), len(detections), len(ground_truth))[0]
    missed = holder == len(detections)

    overlap = np.zeros(len(detections))
    np.maximum.at(overlap, of_class.detection, of_class.tiou)
    kind = np.full(len(detections), KINDS.index("background"))
    kind[pairs.detection] = KINDS.index("wrong class")
    kind[overlap >= background_tiou] = KINDS.index("localization")
    kind[overlap >= tiou] = KINDS.index("duplicate")
    kind[holder[~missed]] = KINDS.index("true positive")
    counts = np.zeros((len(BEST), len(KINDS)), np.int64)
    np.add.at(counts, (band, kind), 1)

    key = ground_truth.video * len(ground_truth.classes) + ground_truth.label
    _, group, size = np.unique(key, return_inverse=True, return_counts=True)
    return ErrorAnalysis(
        tiou,
        background_tiou,
        counts.cumsum(axis=0),
        _missed(missed, ground_truth.end - ground_truth.start, length_edges, "length", " s"),
        _missed(missed, size[group], number_edges, "instances in the video", ""),
    )


def _best(detections: Segments, truth: Segments) -> tuple[Segments, NDArray[np.int64]]:
    """The best 10 G ranked detections of each class, each with the k - 1 of its first best k G."""
    instances = np.bincount(truth.label, minlength=len(truth.classes))
    order = np.argsort(detections.label, kind="stable")
    counts = np.bincount(detections.label, minlength=len(truth.classes))
    place = np.empty(len(detections), np.int64)  # within the class
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = np.flatnonzero(place < len(BEST) * instances[detections.label])
    return detections.take(chosen), place[chosen] // instances[detections.label[chosen]]


def _missed(
    missed: NDArray[np.bool_],
    value: NDArray[np.float64] | NDArray[np.int64],
    edges: Sequence[float],
    name: str,
    unit: str,
) -> MissedInstances:
    """Counts all and missed instances in the ranges (edge, next edge] of a value."""
    if not len(edges) or not np.all(np.diff(edges) > 0) or not np.all(np.isfinite(edges)):
        raise UserError(f"edges for {name} are {list(edges)}; wanted ascending numbers")
    place = np.searchsorted(edges, value, side="left")
    between = [f"over {low:g} to {high:g}{unit}" for low, high in pairwise(edges)]
    ranges = (f"up to {edges[0]:g}{unit}", *between, f"over {edges[-1]:g}{unit}")
    return MissedInstances(
        name,
        ranges,
        np.bincount(place, minlength=len(ranges)),
        np.bincount(place[missed], minlength=len(ranges)),
    )
