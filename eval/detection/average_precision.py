"""Mean average precision (mAP) at temporal IoU.

Letters: K thresholds, C classes, N detections, G ground-truth instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.datasets import THUMOS14
from eval.detection.matching import match_ranked, ranked
from eval.segments import Segments
from utils.errors import UserError

# Lowest and highest tIoU and step of the averages that are customary in the field.
CUSTOMARY = ((0.1, 0.5, 0.1), (0.3, 0.7, 0.1), (0.1, 0.7, 0.1), (0.1, 0.9, 0.1), (0.5, 0.95, 0.05))
MEAN_OF = "mean of "  # prefix of the names of all other averages
ACTIVITYNET, NON_INTERPOLATED = "activitynet", "non-interpolated"
AP_KINDS: tuple[str, ...] = (ACTIVITYNET, NON_INTERPOLATED)
FORMER_NAMES = {"thumos14": NON_INTERPOLATED}  # accepted as well


@dataclass(frozen=True)
class DetectionResult:
    """Average precision of each class at each threshold, as fractions, and counts.

    Attributes:
        tiou: (K,) temporal IoU thresholds.
        classes: Names of the C classes of the ground truth.
        average_precision: (K, C) float64; NaN for a class without an instance in the ground truth.
        instances: (C,) int64, ground-truth instances of each class.
        detections: (C,) int64, detections of each class, including those in unknown videos.
        videos: Number of videos of the ground truth, including those without an instance.
        unknown_video: Number of detections in videos outside the ground truth: false positives.
        unknown_label: Number of detections of classes outside the ground truth: left out.
        unannotated: Number of false positives in ground-truth videos without an instance.
        protocol: How detections were matched and the average precision computed.
        ambiguous: (K,) number of detections left out at each threshold because they overlap an
            ambiguous interval (`eval.detection.thumos_kit`); empty for other protocols.
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
    protocol: str = ACTIVITYNET
    ambiguous: tuple[int, ...] = ()

    @property
    def mean_average_precision(self) -> NDArray[np.float64]:
        """(K,) mean over the classes that have an instance; NaN if none has."""
        annotated = self.instances > 0
        if not annotated.any():
            return np.full(len(self.tiou), np.nan)
        return self.average_precision[:, annotated].mean(axis=1)

    def averages(self) -> dict[str, float]:
        """Averages of the mAP over tIoU in percent, by name.

        Returns:
            The customary averages all of whose thresholds were evaluated: .1-.5, .3-.7, .1-.7 and
            .1-.9 in steps of .1, .5-.95 in steps of .05. If there is none, the mean over all
            thresholds, which is named after them, such as "mean of .5 .75 .95".
        """
        values = self.mean_average_precision
        return {
            name: float(values[chosen].mean() * 100) for name, chosen in self._averaged().items()
        }

    def class_averages(self, name: str) -> NDArray[np.float64]:
        """(C,) average precision of each class in percent, over the tIoU of one of `averages`."""
        chosen = self._averaged()[name]
        return np.array([one_class[chosen].mean() * 100 for one_class in self.average_precision.T])

    def _averaged(self) -> dict[str, NDArray[np.intp]]:
        """The indices of the thresholds of each average, by its name."""
        found = {}
        for low, high, step in CUSTOMARY:
            steps = low + step * np.arange(round((high - low) / step) + 1)
            equal = np.isclose(steps[:, None], self.tiou, rtol=0, atol=1e-9)
            if equal.any(axis=1).all():
                found[average_name(low, high)] = equal.argmax(axis=1)
        return found or {MEAN_OF + list_thresholds(self.tiou): np.arange(len(self.tiou))}


def average_name(low: float, high: float) -> str:
    """The name of a customary average by its lowest and highest tIoU, such as .1-.7."""
    return f"{_short(low)}-{_short(high)}"


def thresholds_of(average: str) -> str:
    """The tIoU thresholds in the name of an average, for texts that already call it an average."""
    return average.removeprefix(MEAN_OF)


def list_thresholds(tiou: NDArray[np.float64], most: int = 6) -> str:
    """Thresholds as text: ".5 .75 .95", or first, last and step (or number) of more than `most`."""
    if len(tiou) <= most:
        return " ".join(map(_short, tiou))
    ends = f"{_short(tiou[0])} to {_short(tiou[-1])}"
    step = (tiou[-1] - tiou[0]) / (len(tiou) - 1)
    if np.allclose(np.diff(tiou), step, rtol=0, atol=1e-9):
        return f"{ends} by {_short(step)}"
    return f"{len(tiou)} thresholds from {_short(tiou.min())} to {_short(tiou.max())}"


def _short(value: float) -> str:
    """A fraction without the zero before the point."""
    return f"{value:g}".removeprefix("0")


def detection_map(
    ground_truth: Segments,
    predictions: Segments,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    ap: str = ACTIVITYNET,
) -> DetectionResult:
    """Evaluates detections as the ActivityNet toolkit does: an instance is found at most once.

    Videos and classes of the two tables are matched by name. The detections of a class, over all
    videos, are taken in descending order of score, equal ones in the order of the table. Each takes
    the instance of its video and class that it overlaps most among the free ones whose tIoU reaches
    the threshold (the first in the table if tied), and is a false positive if there is none, as in
    a video outside the ground truth. Detections of a class outside the ground truth cannot be
    evaluated; they are counted. A class without an instance has no average precision and is not
    part of the mean; a class with instances but no detection has 0.

    Args:
        ground_truth: G instances; scores are not read.
        predictions: N detections.
        tiou: K thresholds, each above 0 and at most 1.
        ap: "activitynet" integrates the precision made non-increasing (interpolated);
            "non-interpolated" takes the sum of the precision at each true positive over the number
            of instances. The latter was called "thumos14", which is still accepted: it is the
            formula of the THUMOS14 kit without the matching of that kit, for which there is
            `eval.detection.thumos_kit`.

    Raises:
        UserError: If `ap` is unknown, a threshold is out of range or a number not finite.
    """
    thresholds = checked_thresholds(tiou)
    ap = FORMER_NAMES.get(ap, ap)
    if ap not in AP_KINDS:
        raise UserError(f"ap is {ap!r}; wanted one of {', '.join(AP_KINDS)}")
    check_finite(ground_truth, "ground truth")
    check_finite(predictions, "predictions")
    detections = ranked(predictions, ground_truth)
    holder = match_ranked(detections, ground_truth, thresholds)
    hit = np.zeros(
        (len(thresholds), len(detections) + 1), bool
    )  # last column: instances without a detection
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
    annotated[-1] = True  # the entry of index -1, unknown videos, which are counted apart
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
        protocol=ACTIVITYNET if ap == ACTIVITYNET else f"{ACTIVITYNET}, {ap} AP",
    )


def average_precision_of(
    precision: NDArray[np.float64], recall: NDArray[np.float64], ap: str = ACTIVITYNET
) -> NDArray[np.float64]:
    """Area under the curve of precision over recall.

    Args:
        precision, recall: (..., N) after each of N detections in descending order of score.
        ap: "activitynet" takes as precision at a recall the best one at that recall or above,
            "non-interpolated" the precision itself.

    Returns:
        (...) average precision; 0 if there is no detection.
    """
    if ap == ACTIVITYNET:
        precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return (np.diff(recall, axis=-1, prepend=0) * precision).sum(axis=-1)


def checked_thresholds(tiou: Sequence[float]) -> NDArray[np.float64]:
    """(K,) tIoU thresholds.

    Raises:
        UserError: If there is none or one is out of range.
    """
    thresholds = np.asarray(tiou, np.float64)
    if thresholds.ndim != 1 or not len(thresholds):
        raise UserError(f"tiou is {tiou}; wanted a list of at least one threshold")
    for value in thresholds:
        if not 0 < value <= 1:
            raise UserError(f"tiou {value:g} is out of range; wanted above 0 and at most 1")
    return thresholds


def check_finite(segments: Segments, what: str) -> None:
    """Raises a UserError about the first time or score that is not a finite number.

    Args:
        segments: Table to check.
        what: Its name, for the message.
    """
    for name in ("start", "end", "score"):
        bad = np.flatnonzero(~np.isfinite(getattr(segments, name)))
        if len(bad):
            value = getattr(segments, name)[bad[0]]
            raise UserError(
                f"{what}: {name} of row {bad[0]} is {value} ({len(bad)} such rows); "
                "wanted finite numbers"
            )
