"""The protocol of the official THUMOS14 evaluation kit, which is not what the field calls THUMOS14
mAP (that is `average_precision.detection_map`).

Letters: K thresholds, N detections, G ground-truth instances.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from config.datasets import THUMOS14
from eval.detection.average_precision import DetectionResult, check_finite, checked_thresholds
from eval.detection.matching import match, overlapping_pairs, ranked
from eval.segments import Segments

THUMOS_KIT = "thumos-kit"
_ANY_OVERLAP = float(np.nextafter(0, 1))


def thumos_kit_map(
    ground_truth: Segments,
    predictions: Segments,
    ambiguous: Segments | None = None,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    exact_times: bool = False,
) -> DetectionResult:
    """Evaluates detections as the official THUMOS14 kit does.

    In each class and video, the instances choose in the order of the table: each takes the free
    detection that it overlaps most, whatever its score (the best score if tied), if their tIoU is
    greater than the threshold. A detection that no instance takes is left out if it overlaps an
    ambiguous interval of its video, and is a false positive otherwise; so is one in a video outside
    the ground truth. The average precision is the sum of the precision at each true positive over
    the number of instances. Equal scores are ordered by the name of the video, then as in the
    table.

    Rounding errors decide whether a tIoU that should equal a threshold is greater. To reproduce the
    values of the kit run by Octave, times are by default those that Octave's `textscan` reads
    (`as_octave_reads`); with exact times, 2 of 140 values differ for 31,587 real detections.

    A class without an instance, on which the kit stops, has no average precision and is not part of
    the mean. A segment that ends before it starts overlaps nothing; the kit turns it around.

    Args:
        ground_truth: G instances; scores are not read.
        predictions: N detections.
        ambiguous: Intervals in which detections of any class do not count as false positives; their
            classes are not read.
        tiou: K thresholds, each above 0 and at most 1.
        exact_times: Whether times are used as they are, not as Octave reads them.

    Raises:
        UserError: If a threshold is out of range or a number not finite.
    """
    thresholds = checked_thresholds(tiou)
    check_finite(ground_truth, "ground truth")
    check_finite(predictions, "predictions")
    doubtful = ambiguous or ground_truth.take(np.zeros(0, np.int64))
    check_finite(doubtful, "ambiguous intervals")
    own = set(ground_truth.videos)
    others = tuple(name for name in doubtful.videos if name not in own)
    truth = replace(ground_truth, videos=ground_truth.videos + others)
    detections = ranked(_by_video_name(predictions), truth)
    if not exact_times:
        truth, detections, doubtful = map(_with_times_of_octave, (truth, detections, doubtful))
    matched = _match(truth, detections, thresholds)
    counted = matched | ~_overlaps_any(detections, doubtful)

    instances = np.bincount(truth.label, minlength=len(truth.classes))
    outside = (detections.video < 0) | (detections.video >= len(ground_truth.videos))
    annotated = np.zeros(len(truth.videos) + 1, bool)
    annotated[truth.video] = True
    # Neither depends on the threshold: without an instance, a detection is never matched.
    missing = ~annotated[detections.video] & ~outside & counted[0]
    return DetectionResult(
        tiou=thresholds,
        classes=truth.classes,
        average_precision=_average_precision(matched, counted, detections.label, instances),
        instances=instances,
        detections=np.bincount(detections.label, minlength=len(instances)),
        videos=len(ground_truth.videos),
        unknown_video=int((outside & counted[0]).sum()),
        unknown_label=len(predictions) - len(detections),
        unannotated=int(missing.sum()),
        protocol=THUMOS_KIT,
        ambiguous=tuple((~counted).sum(axis=1).tolist()),
    )


def _average_precision(
    matched: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    label: NDArray[np.int64],
    instances: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(K, C) sum of the precision at each true positive over the number of instances.

    Args:
        matched: (K, N) whether a detection is a true positive; the best detection comes first.
        counted: (K, N) whether it is a true or a false positive.
        label: (N,) its class.
        instances: (C,) number of instances of each class.
    """
    found = np.full((len(matched), len(instances)), np.nan)
    for one in np.flatnonzero(instances):
        rows = np.flatnonzero(label == one)
        hits = matched[:, rows]
        before = np.cumsum(counted[:, rows], axis=1).clip(1)  # 0 only before the first hit
        precision = np.cumsum(hits, axis=1) / before
        found[:, one] = (precision * hits).sum(axis=1) / instances[one]
    return found


def as_octave_reads(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers that `textscan` of Octave 7 reads where a text file has these times.

    It adds up the decimals one by one: 24.96 becomes 24 + 9 * 0.1 + 6 * (0.1 * 0.1), which is one
    unit in the last place below the nearest float64. The text has as many digits as identify the
    number.

    Args:
        seconds: (N,) times.
    """
    values, place = np.unique(seconds, return_inverse=True)
    return np.array(list(map(_add_up_decimals, values.tolist())), np.float64)[place]


def _add_up_decimals(seconds: float) -> float:
    whole, _, decimals = repr(abs(seconds)).partition(".")
    if not decimals.isdecimal():  # an exponent
        return seconds
    value, unit = float(whole), 1.0
    for digit in decimals:
        unit *= 0.1
        value += int(digit) * unit
    return -value if seconds < 0 else value


def _with_times_of_octave(segments: Segments) -> Segments:
    start, end = as_octave_reads(segments.start), as_octave_reads(segments.end)
    return replace(segments, start=start, end=end)


def _by_video_name(segments: Segments) -> Segments:
    """The rows ordered by the name of their video, otherwise in the order of the table."""
    place = np.argsort(np.argsort(np.array(segments.videos, object), kind="stable"))
    return segments.take(np.argsort(place[segments.video], kind="stable"))


def _overlap(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    other_start: NDArray[np.float64],
    other_end: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Overlap over the time from the earlier start to the later end.

    For intervals that overlap this is their tIoU. It is divided as the kit does, since a rounding
    error decides where the tIoU equals the threshold.
    """
    inside = np.minimum(end, other_end) - np.maximum(start, other_start)
    whole = np.maximum(end, other_end) - np.minimum(start, other_start)
    return np.divide(inside, whole, out=np.zeros(inside.shape), where=inside > 0)


def _match(truth: Segments, detections: Segments, tiou: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(K, N) whether an instance takes the detection, at each threshold.

    This is `match` with exchanged roles: the instances choose, in the order of the table.
    """
    classes = len(truth.classes)
    above = np.nextafter(tiou, np.inf)  # at least this is greater than the threshold
    pairs = overlapping_pairs(
        truth,
        detections,
        truth.video * classes + truth.label,
        detections.video * classes + detections.label,
        at_least=float(above.min()),
        overlap=_overlap,
    )
    return match(pairs, above, len(truth), len(detections)) < len(truth)


def _overlaps_any(detections: Segments, intervals: Segments) -> NDArray[np.bool_]:
    """(N,) whether a detection overlaps an interval of its video, however little."""
    number = {name: i for i, name in enumerate(detections.videos)}
    videos = np.array([number[name] for name in intervals.videos], np.int64)
    pairs = overlapping_pairs(
        detections,
        intervals,
        detections.video,
        videos[intervals.video],
        at_least=_ANY_OVERLAP,
        overlap=_overlap,
    )
    found = np.zeros(len(detections), bool)
    found[pairs.detection] = True
    return found
