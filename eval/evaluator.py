"""Evaluation of one set of scores: segments, mAP at tIoU, video-level classification."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from config.localization import LocalizationSettings
from dataset.videos import Video
from eval.classification import classification_map
from eval.detection.average_precision import (
    DetectionResult,
    average_name,
    detection_map,
    thresholds_of,
)
from eval.detection.tables import counts_line, map_table
from eval.invalid_segments import invalid_segment_warnings
from eval.localization import localize
from eval.scores import VideoScores
from eval.segments import Segments, ground_truth
from utils.errors import UserError


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        detections: Segments in seconds with scores.
        detection: Their mAP at tIoU.
        classification: Video-level classification mAP, as a fraction.
        main_average: Lowest and highest tIoU of the average by which checkpoints are compared.
        unlisted: Ground-truth videos that are in no split file, and so are not predicted.
        unlisted_instances: Number of instances in those videos.
    """

    detections: Segments
    detection: DetectionResult
    classification: float
    main_average: tuple[float, float]
    unlisted: tuple[str, ...] = ()
    unlisted_instances: int = 0

    def metrics(self) -> dict[str, float]:
        """All numbers in percent, by their names in logs."""
        result = self.detection
        at = zip(result.tiou, result.mean_average_precision, strict=True)
        return {
            **{f"mAP@{tiou:g}": float(value * 100) for tiou, value in at},
            **{f"average {thresholds_of(n)}": value for n, value in result.averages().items()},
            "classification mAP": self.classification * 100,
        }

    def main_metric(self) -> tuple[str, float]:
        """The metric by which checkpoints are compared: name of the average, mAP in percent.

        It is the first of the averages if the tIoU thresholds do not allow `main_average`.
        """
        averages = self.detection.averages()
        name = average_name(*self.main_average)
        if name not in averages:
            name = next(iter(averages))
        return name, averages[name]

    def text(self) -> str:
        """The result for the terminal: mAP first, then what was evaluated."""
        if not self.detection.instances.sum():
            return "the test videos have no annotated instance: nothing to evaluate"
        return (
            f"{map_table(self.detection)}\n"
            f"video-level classification mAP %   {self.classification * 100:.2f}\n"
            f"{counts_line(self.detection)}{self._unlisted_text()}"
        )

    def _unlisted_text(self) -> str:
        """The line about ground truth outside the split files; "" if there is none."""
        if not self.unlisted:
            return ""
        return (
            f"\nof these, {len(self.unlisted)} videos with {self.unlisted_instances} instances, "
            f"such as {self.unlisted[0]}, are in no split file but in the subset of the test "
            "videos; their instances count as missed"
        )


class Evaluator:
    """Evaluates scores on one split; created once and called after every epoch.

    Args:
        database: All annotated videos by name.
        names: Videos of the test split. They are the ground truth, and with them the videos of
            their subset that are in no split: the instances of those count as missed, as in the
            official implementation.
        classes: Class names in index order.
        tiou: Temporal IoU thresholds of the mAP.
        settings: Localization settings.
        main_average: Lowest and highest tIoU of the average by which checkpoints are compared.
        training: Names of the training videos, which are ground truth only if they are in `names`.

    Attributes:
        truth: Ground-truth instances.
    """

    def __init__(
        self,
        database: dict[str, Video],
        names: Sequence[str],
        classes: Sequence[str],
        tiou: Sequence[float],
        settings: LocalizationSettings,
        main_average: tuple[float, float],
        training: Collection[str] = (),
    ) -> None:
        own = set(names)
        subsets = {database[name].subset for name in names}
        videos = {
            name: video
            for name, video in database.items()
            if name in own or (video.subset in subsets and name not in training)
        }
        self.truth = ground_truth(videos.values(), classes)
        others = [video for name, video in database.items() if name not in videos]
        for warning in invalid_segment_warnings(videos.values(), others, classes):
            print(warning)
        self.unlisted = tuple(name for name in videos if name not in own)
        self.unlisted_instances = len(
            ground_truth((videos[name] for name in self.unlisted), classes)
        )
        occurring = [set(database[name].labels) for name in names]
        self.labels = np.array([[c in labels for c in classes] for labels in occurring])
        self.classes = classes
        self.tiou = tiou
        self.settings = settings
        self.main_average = main_average

    @property
    def is_possible(self) -> bool:
        """Whether there is an annotated instance, so that there is something to evaluate."""
        return len(self.truth) > 0

    def __call__(self, scores: Sequence[VideoScores]) -> Evaluation:
        """Evaluates the scores of the videos, given in the order of the split.

        Raises:
            UserError: If a score is not finite, naming the video.
        """
        for video in scores:
            if not video.is_finite:
                raise UserError(
                    f"the network gives scores that are not finite for video {video.name}: its "
                    "training has diverged; train with a lower --lr, from an earlier checkpoint"
                )
        detections = localize(scores, self.classes, self.settings)
        class_scores = np.stack([video.class_scores[: len(self.classes)] for video in scores])
        return Evaluation(
            detections,
            detection_map(self.truth, detections, self.tiou),
            classification_map(class_scores, self.labels),
            self.main_average,
            self.unlisted,
            self.unlisted_instances,
        )
