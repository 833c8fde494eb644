"""The evaluation of one set of scores: segments, mAP at tIoU, video-level classification."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.annotations import Video
from eval.classification import classification_map
from eval.detection.average_precision import DetectionResult, detection_map
from eval.detection.tables import map_table
from eval.localization import localize
from eval.scores import VideoScores
from eval.segments import Segments, ground_truth
from utils.errors import UserError

MAIN_AVERAGE = ".1-.7"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        detections: segments in seconds with scores.
        detection: their mAP at tIoU.
        classification: video-level classification mAP, as a fraction.
    """

    detections: Segments
    detection: DetectionResult
    classification: float

    def metrics(self) -> dict[str, float]:
        """Every number in percent, by the name it has in logs."""
        result = self.detection
        at = zip(result.tiou, result.mean_average_precision, strict=True)
        return {
            **{f"mAP@{tiou:g}": float(value * 100) for tiou, value in at},
            **{f"average {name}": value for name, value in result.averages().items()},
            "classification mAP": self.classification * 100,
        }

    def headline(self) -> tuple[str, float]:
        """The number by which checkpoints are compared: name of the average, mAP in percent."""
        averages = self.detection.averages()
        name = MAIN_AVERAGE if MAIN_AVERAGE in averages else next(iter(averages))
        return name, averages[name]

    def text(self) -> str:
        """The table to print."""
        if not self.detection.instances.sum():
            return "the test videos have no annotated instance: nothing to score"
        return (
            f"{map_table(self.detection)}\n"
            f"video-level classification mAP: {self.classification * 100:.2f}"
        )


class Evaluator:
    """Scores networks on one split: made once, called after every epoch.

    Args:
        database: all annotated videos.
        names: the videos of the split; their subset of the database is the ground truth, so that
            instances of videos that the split lacks count as missed, as in the released code.
        classes: class names in index order.
        tiou: thresholds of the mAP.
        localization: keyword arguments of `eval.localization.localize`.
    """

    def __init__(
        self,
        database: dict[str, Video],
        names: Sequence[str],
        classes: Sequence[str],
        tiou: Sequence[float],
        **localization: object,
    ) -> None:
        subsets = {database[name].subset for name in names}
        videos = [video for video in database.values() if video.subset in subsets]
        self.truth = ground_truth(videos, classes)
        self.labels = np.array([[c in database[name].labels for c in classes] for name in names])
        self.classes = classes
        self.tiou = tiou
        self.localization = localization

    def __call__(self, scores: Sequence[VideoScores]) -> Evaluation:
        """Evaluates the scores of the videos, given in the order of the split."""
        for video in scores:
            if not all(map(_is_finite, (video.cas, video.attention, video.class_scores))):
                raise UserError(
                    f"the network gives no finite scores for video {video.name}: its training has "
                    "diverged; train with a lower --lr, from an earlier checkpoint"
                )
        detections = localize(scores, self.classes, **self.localization)  # type: ignore[arg-type]
        class_scores = np.stack([video.class_scores[: len(self.classes)] for video in scores])
        return Evaluation(
            detections,
            detection_map(self.truth, detections, self.tiou),
            classification_map(class_scores, self.labels),
        )


def _is_finite(values: NDArray[np.floating]) -> bool:
    return bool(np.isfinite(values).all())
