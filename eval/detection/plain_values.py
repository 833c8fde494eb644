"""Results as numbers, lists and dicts: the one source of JSON files, tables and the report page."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.detection.average_precision import DetectionResult
from eval.detection.error_analysis import BEST, KINDS, ErrorAnalysis, MissedInstances


def plain_values(result: DetectionResult, analysis: ErrorAnalysis) -> dict[str, Any]:
    """Everything that an evaluation found, ready for JSON.

    Args:
        result: Average precision and counts.
        analysis: Error analysis of the same detections.

    Returns:
        The values of `detection_values`, and under "errors" those of the analysis: the number of
        detections of each kind among the best k G, and the instances and missed ones by range.
    """
    errors = {
        "tiou": analysis.tiou,
        "background_tiou": analysis.background_tiou,
        "best": {
            best: dict(zip(KINDS, row, strict=True))
            for best, row in zip(BEST, analysis.errors.tolist(), strict=True)
        },
        "missed_by_length": _by_range(analysis.missed_by_length),
        "missed_by_number": _by_range(analysis.missed_by_number),
    }
    return {**detection_values(result), "errors": errors}


def detection_values(result: DetectionResult) -> dict[str, Any]:
    """Average precision and counts, ready for JSON; precisions and averages in percent.

    A value that does not exist, such as the average precision of a class without an instance, is
    None.
    """
    precision = (result.average_precision * 100).T  # (C, K)
    rows = zip(result.classes, result.instances, result.detections, precision, strict=True)
    return json_ready(
        {
            "protocol": result.protocol,
            "tiou": result.tiou,
            "mAP": result.mean_average_precision * 100,
            "average_mAP": result.averages(),
            "videos": result.videos,
            "instances": result.instances.sum(),
            "classes_scored": (result.instances > 0).sum(),
            "detections": result.detections.sum(),
            "detections_of_unknown_class": result.unknown_label,
            "false_positives_in_unknown_videos": result.unknown_video,
            "false_positives_without_annotation": result.unannotated,
            **({"detections_in_ambiguous_intervals": result.ambiguous} if result.ambiguous else {}),
            "classes": {
                name: {"instances": instances, "detections": detections, "AP": one_class}
                for name, instances, detections, one_class in rows
            },
        }
    )


def json_ready(value: Any) -> Any:
    """The value as JSON knows it: NumPy types unwrapped, NaN and infinity None, others as text."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _by_range(missed: MissedInstances) -> dict[str, dict[str, int]]:
    counts = zip(missed.ranges, missed.instances.tolist(), missed.missed.tolist(), strict=True)
    return {name: {"instances": number, "missed": lost} for name, number, lost in counts}
