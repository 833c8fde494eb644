"""Why is it wrong? Kinds of error among the best detections, and which instances were missed.

The analysis follows DETAD (Alwassel et al., Diagnosing Error in Temporal Action Detectors,
ECCV 2018): false positive profile, and false negatives by the characteristics of the instance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.detection.matching import Pairs, match, overlapping_pairs, ranked
from eval.segments import Segments
from utils.errors import UserError

KINDS = ("true positive", "duplicate", "localization", "wrong class", "background")
MULTIPLES = 10  # the best 1 G to 10 G detections of a class with G instances are looked at
LENGTH_EDGES = (3.0, 6.0, 12.0, 18.0)  # seconds; DETAD's for THUMOS14
NUMBER_EDGES = (1, 40, 80)  # instances; DETAD's for THUMOS14


@dataclass(frozen=True)
class Breakdown:
    """What the best detections are, and which instances they miss.

    Attributes:
        tiou: temporal IoU from which a detection is correct.
        background_tiou: temporal IoU below which a detection has nothing to do with an instance.
        errors: 10 rows, "1G" to "10G": how many of the best k G detections of all classes together
            are of each of `KINDS`; a row contains the one before.
        missed_by_length: a row for each range of lengths, columns instances and missed.
        missed_by_number: a row for each range of the number of instances of the class in the video.
    """

    tiou: float
    background_tiou: float
    errors: pd.DataFrame
    missed_by_length: pd.DataFrame
    missed_by_number: pd.DataFrame


def error_breakdown(
    ground_truth: Segments,
    predictions: Segments,
    tiou: float = 0.5,
    *,
    background_tiou: float = 0.1,
    length_edges: Sequence[float] = LENGTH_EDGES,
    number_edges: Sequence[float] = NUMBER_EDGES,
) -> Breakdown:
    """Sorts the best detections by what they are, and the instances by whether they were found.

    Looked at are, of each class with G instances in the ground truth, the k G detections of highest
    score (equal ones in the order of the table), for k = 1 to 10. Each is one of `KINDS`, the first
    that applies, where overlap means temporal IoU with an instance in the same video:

    * true positive: it finds an instance, exactly as for the mAP at this threshold;
    * duplicate: overlaps an instance of its class by `tiou` or more, but better ones took it;
    * localization: overlaps an instance of its class by `background_tiou` or more, below `tiou`;
    * wrong class: overlaps an instance of another class by `background_tiou` or more (DETAD's wrong
      label and confusion errors);
    * background: anything else, also in videos that the ground truth does not have.

    An instance is missed if none of the best 10 G detections of its class finds it.

    Args:
        ground_truth: instances; scores are not read.
        predictions: detections. Videos and classes of the two are matched by name.
        tiou: above `background_tiou`, at most 1.
        background_tiou: above 0.
        length_edges: ascending seconds; a range reaches from above one edge up to the next.
        number_edges: ascending numbers of instances of the class in the video, likewise.

    Raises:
        UserError: for thresholds or edges that are not so.
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
    counts = np.zeros((MULTIPLES, len(KINDS)), np.int64)
    np.add.at(counts, (band, kind), 1)

    key = ground_truth.video * len(ground_truth.classes) + ground_truth.label
    _, group, size = np.unique(key, return_inverse=True, return_counts=True)
    return Breakdown(
        tiou,
        background_tiou,
        pd.DataFrame(
            counts.cumsum(axis=0),
            index=pd.Index([f"{k}G" for k in range(1, MULTIPLES + 1)], name="best"),
            columns=list(KINDS),
        ),
        _missed(missed, ground_truth.end - ground_truth.start, length_edges, "length", " s"),
        _missed(missed, size[group], number_edges, "instances in the video", ""),
    )


def _best(detections: Segments, truth: Segments) -> tuple[Segments, NDArray[np.int64]]:
    """The best 10 G ranked detections of each class, and k - 1 for those new among the best k G."""
    instances = np.bincount(truth.label, minlength=len(truth.classes))
    order = np.argsort(detections.label, kind="stable")
    counts = np.bincount(detections.label, minlength=len(truth.classes))
    place = np.empty(len(detections), np.int64)  # within the class
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = np.flatnonzero(place < MULTIPLES * instances[detections.label])
    return detections.take(chosen), place[chosen] // instances[detections.label[chosen]]


def _missed(
    missed: NDArray[np.bool_],
    value: NDArray[np.float64] | NDArray[np.int64],
    edges: Sequence[float],
    name: str,
    unit: str,
) -> pd.DataFrame:
    """Counts instances and missed ones in the ranges (edge, next edge] of a value."""
    if not len(edges) or not np.all(np.diff(edges) > 0) or not np.all(np.isfinite(edges)):
        raise UserError(f"edges for {name} are {list(edges)}; wanted ascending numbers")
    place = np.searchsorted(edges, value, side="left")
    between = [f"over {low:g} to {high:g}{unit}" for low, high in pairwise(edges)]
    ranges = [f"up to {edges[0]:g}{unit}", *between, f"over {edges[-1]:g}{unit}"]
    return pd.DataFrame(
        {
            "instances": np.bincount(place, minlength=len(ranges)),
            "missed": np.bincount(place[missed], minlength=len(ranges)),
        },
        index=pd.Index(ranges, name=name),
    )
