"""Mean average precision at temporal IoU, of a table of detections or of any prediction file:

    python -m eval.detection --ground_truth gt.json --predictions pred.json

Letters: K thresholds, C classes, N detections, G ground-truth instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.detection.matching import match_ranked, ranked
from eval.segments import Segments
from utils.errors import UserError

TIOU: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
AVERAGES = ((0.1, 0.5), (0.3, 0.7), (0.1, 0.7))
AP_KINDS: tuple[str, ...] = ("activitynet", "thumos14")


@dataclass(frozen=True)
class DetectionResult:
    """Average precision of each class at each threshold, as fractions, and what was counted.

    Attributes:
        tiou: (K,) temporal IoU thresholds.
        classes: the C classes of the ground truth.
        average_precision: (K, C) float64; NaN for a class without an instance in the ground truth.
        instances: (C,) int64, ground-truth instances of each class.
        detections: (C,) int64, detections of each class, those in unknown videos included.
        videos: how many videos the ground truth has, those without an instance included.
        unknown_video: detections in videos that the ground truth does not have: false positives.
        unknown_label: detections of classes that the ground truth does not have: left out.
        unannotated: false positives in videos of the ground truth that have no instance.
    """

    tiou: NDArray[np.float64]
    classes: tuple[str, ...]
    average_precision: NDArray[np.float64]
    instances: NDArray[np.int64]
    detections: NDArray[np.int64]
    videos: int
    unknown_video: int
    unknown_label: int
    unannotated: int

    @property
    def mean_average_precision(self) -> NDArray[np.float64]:
        """(K,) mean over the classes that have an instance; NaN if none has."""
        scored = self.instances > 0
        if not scored.any():
            return np.full(len(self.tiou), np.nan)
        return self.average_precision[:, scored].mean(axis=1)

    def average(self, low: float, high: float) -> float:
        """Mean of the mAP over the thresholds from `low` to `high`, both included, in percent.

        Raises:
            ValueError: if `low` or `high` is not among the thresholds, for then the number would
                not be the average that its name promises.
        """
        for end in (low, high):
            if not np.isclose(self.tiou, end, rtol=0, atol=1e-9).any():
                raise ValueError(f"no average from {low} to {high}: {end} is not in {self.tiou}")
        inside = (self.tiou > low - 1e-9) & (self.tiou < high + 1e-9)
        return float(self.mean_average_precision[inside].mean() * 100)

    def averages(self) -> dict[str, float]:
        """The customary averages in percent, by name: .1-.5, .3-.7 and .1-.7 in steps of .1.

        Thresholds that allow none of these, as ActivityNet's, give the one over all of them.
        """
        found = {}
        for low, high in AVERAGES:
            inside = self.tiou[(self.tiou > low - 1e-9) & (self.tiou < high + 1e-9)]
            steps = np.arange(round(low * 10), round(high * 10) + 1) / 10
            if len(inside) == len(steps) and np.allclose(np.sort(inside), steps, rtol=0, atol=1e-9):
                found[_range_name(low, high)] = self.average(low, high)
        if not found:
            low, high = self.tiou.min(), self.tiou.max()
            found[_range_name(low, high)] = self.average(low, high)
        return found


def detection_map(
    ground_truth: Segments,
    predictions: Segments,
    tiou: Sequence[float] = TIOU,
    *,
    ap: str = "activitynet",
) -> DetectionResult:
    """Scores detections as the ActivityNet toolkit does: every instance is found at most once.

    Videos and classes of the two tables are matched by name. Detections of a class, over all
    videos, go by falling score, equal ones in the order of the table. Each takes the instance of
    its video and class that it overlaps most among those that are free and overlapped by at least
    the threshold (of equals the first of the table), and is a false positive where there is none,
    as in a video that the ground truth does not have. A detection of a class that the ground truth
    does not have cannot be scored; it is counted. A class without an instance has no average
    precision and no part in the mean; a class with instances but no detection has 0.

    Args:
        ground_truth: G instances; scores are not read.
        predictions: N detections.
        tiou: K thresholds, each above 0 and at most 1.
        ap: "activitynet" integrates the precision made non-increasing (interpolated); "thumos14"
            takes the mean of the precision at each true positive over all instances, as the
            THUMOS challenge did.

    Raises:
        UserError: for another `ap`, a threshold outside that range, a number that is not finite.
    """
    thresholds = _checked_thresholds(tiou)
    if ap not in AP_KINDS:
        raise UserError(f"ap is {ap!r}; wanted one of {', '.join(AP_KINDS)}")
    _check_finite(ground_truth, "ground truth")
    _check_finite(predictions, "predictions")
    detections = ranked(predictions, ground_truth)
    holder = match_ranked(detections, ground_truth, thresholds)
    hit = np.zeros((len(thresholds), len(detections) + 1), bool)  # last: instances nobody found
    np.put_along_axis(hit, holder, True, axis=1)

    number = len(ground_truth.classes)
    instances = np.bincount(ground_truth.label, minlength=number)
    counts = np.bincount(detections.label, minlength=number)
    by_class = np.split(np.argsort(detections.label, kind="stable"), np.cumsum(counts)[:-1])
    average_precision = np.full((len(thresholds), number), np.nan)
    for label in np.flatnonzero(instances):
        found = np.cumsum(hit[:, by_class[label]], axis=1)
        precision = found / np.arange(1, counts[label] + 1)
        recall = found / instances[label]
        average_precision[:, label] = average_precision_of(precision, recall, ap)

    annotated = np.zeros(len(ground_truth.videos) + 1, bool)
    annotated[ground_truth.video] = True
    annotated[-1] = True  # where the index -1 of unknown videos points to: counted apart
    return DetectionResult(
        tiou=thresholds,
        classes=ground_truth.classes,
        average_precision=average_precision,
        instances=instances,
        detections=counts,
        videos=len(ground_truth.videos),
        unknown_video=int((detections.video < 0).sum()),
        unknown_label=len(predictions) - len(detections),
        unannotated=int((~annotated[detections.video]).sum()),
    )


def average_precision_of(
    precision: NDArray[np.float64], recall: NDArray[np.float64], ap: str = "activitynet"
) -> NDArray[np.float64]:
    """Area under the curve of precision over recall.

    Args:
        precision, recall: (..., N) after each of N detections by falling score.
        ap: "activitynet": precision at a recall is the best one at that recall or above;
            "thumos14": it is taken as it stands.

    Returns:
        (...) average precision; 0 without a detection.
    """
    if ap == "activitynet":
        precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return (np.diff(recall, axis=-1, prepend=0) * precision).sum(axis=-1)


def _range_name(low: float, high: float) -> str:
    return "-".join(f"{value:g}".removeprefix("0") for value in (low, high))


def _checked_thresholds(tiou: Sequence[float]) -> NDArray[np.float64]:
    thresholds = np.asarray(tiou, np.float64)
    if thresholds.ndim != 1 or not len(thresholds):
        raise UserError(f"tiou is {tiou}; wanted a list of at least one threshold")
    for value in thresholds:
        if not 0 < value <= 1:
            raise UserError(f"tiou {value:g} is out of range; wanted above 0 and at most 1")
    return thresholds


def _check_finite(segments: Segments, what: str) -> None:
    for name in ("start", "end", "score"):
        bad = np.flatnonzero(~np.isfinite(getattr(segments, name)))
        if len(bad):
            value = getattr(segments, name)[bad[0]]
            raise UserError(
                f"{what}: {name} of row {bad[0]} is {value} ({len(bad)} such rows); "
                "wanted finite numbers"
            )
