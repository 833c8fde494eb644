"""Compares the predictions of several methods: mAP, classes and videos.

Letters: M methods, C classes, K thresholds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.detection.average_precision import (
    ACTIVITYNET,
    DetectionResult,
    detection_map,
    thresholds_of,
)
from eval.detection.plain_values import json_ready
from eval.evaluator import Evaluation
from eval.report.video_results import VideoResults, video_results
from eval.segments import Segments

EQUAL = 0.005  # percent: smaller differences are none, as no table shows them


@dataclass(frozen=True)
class Compared:
    """One method.

    Attributes:
        detection: mAP of its predictions.
        results: Results of single videos.
        score: Main average of the mAP in percent.
    """

    detection: DetectionResult
    results: VideoResults
    score: float


@dataclass(frozen=True)
class Comparison:
    """The results of several methods on the same ground truth.

    Attributes:
        average: Name of the main average, such as ".1-.7".
        truth: Ground truth.
        methods: The methods by name; the others are compared with the first one.
    """

    average: str
    truth: Segments
    methods: Mapping[str, Compared]

    @property
    def first(self) -> str:
        """Name of the method with which the others are compared."""
        return next(iter(self.methods))

    def class_averages(self) -> NDArray[np.float64]:
        """(M, C) main average of the AP in percent; NaN for a class without instances."""
        averages = [m.detection.class_averages(self.average) for m in self.methods.values()]
        return np.array(averages)

    def video_averages(self) -> dict[str, dict[str, float]]:
        """By method, the main average of each annotated video in percent."""
        return {name: method.results.average_by_video() for name, method in self.methods.items()}

    def changes(self, name: str) -> dict[str, dict[str, int]]:
        """How many classes and videos a method changes, compared with the first one.

        Returns:
            For "classes" and "videos" the number of "better", "worse" and "equal" ones.
        """
        place = list(self.methods).index(name)
        averages = self.class_averages()
        videos = self.video_averages()
        differences = {
            "classes": averages[place] - averages[0],
            "videos": np.array([videos[name][v] - videos[self.first][v] for v in videos[name]]),
        }
        return {
            what: {
                "better": int((values > EQUAL).sum()),
                "worse": int((values < -EQUAL).sum()),
                "equal": int((np.abs(values) <= EQUAL).sum()),
            }
            for what, values in differences.items()
        }

    def lines(self) -> list[str]:
        """The comparison in a few lines of text."""
        thresholds = thresholds_of(self.average)
        lines = [f"average mAP %, tIoU {thresholds}"]
        for name, method in self.methods.items():
            line = f"  {name}: {method.score:.2f}"
            if name != self.first:
                line += f" ({method.score - self.methods[self.first].score:+.2f})"
                for what, count in self.changes(name).items():
                    line += f"; {what}: {count['better']} better, {count['worse']} worse"
            lines.append(line)
        return lines

    def values(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        videos = self.video_averages()
        averages = self.class_averages()
        methods = {}
        for row, (name, method) in enumerate(self.methods.items()):
            classes = zip(self.truth.classes, averages[row], strict=True)
            methods[name] = {
                "average_mAP": method.score,
                "mAP": method.detection.mean_average_precision * 100,
                "class_AP": {label: v for label, v in classes if not math.isnan(v)},
                "video_AP": videos[name],
                "changes": self.changes(name) if row else None,
            }
        return dict(
            json_ready(
                {
                    "average": self.average,
                    "tiou": self.methods[self.first].detection.tiou,
                    "compared_with": self.first,
                    "methods": methods,
                }
            )
        )


def compare_methods(
    predictions: Mapping[str, Segments],
    truth: Segments,
    tiou: Sequence[float],
    main_average: tuple[float, float],
    *,
    background_tiou: float = 0.1,
    ap: str = ACTIVITYNET,
) -> Comparison:
    """Evaluates the predictions of several methods.

    Args:
        predictions: Detections of each method by its name.
        truth: Ground truth.
        tiou: Thresholds.
        main_average: Lowest and highest threshold of the main average.
        background_tiou: tIoU below which a detection is unrelated to an instance.
        ap: Kind of average precision, see `detection_map`.
    """
    methods = {}
    average = ""
    for name, detections in predictions.items():
        detection = detection_map(truth, detections, tiou, ap=ap)
        average, score = Evaluation(detections, detection, math.nan, main_average).main_metric()
        results = video_results(
            truth, detections, detection, average, background_tiou=background_tiou, ap=ap
        )
        methods[name] = Compared(detection, results, score)
    return Comparison(average, truth, methods)
