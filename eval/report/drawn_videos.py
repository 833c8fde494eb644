"""Which videos the report draws: the best, the median and the worst by their own average mAP."""

import math
from collections.abc import Mapping, Sequence

from eval.detection.average_precision import detection_map
from eval.evaluator import Evaluation
from eval.segments import Segments


def rate_videos(evaluation: Evaluation, truth: Segments, names: Sequence[str]) -> dict[str, float]:
    """The main metric of each video by itself, in percent.

    The mean goes over the classes annotated in the video; detections of other classes do not count.

    Args:
        evaluation: Evaluation of the videos.
        truth: Ground-truth instances.
        names: Videos to rate.

    Returns:
        Average mAP by name, without the videos that have no annotated instance.
    """
    average, _ = evaluation.main_metric()
    tiou = evaluation.detection.tiou.tolist()
    rated = {}
    for name in names:
        instances = truth.of_video(name)
        if len(instances):
            result = detection_map(instances, evaluation.detections.of_video(name), tiou)
            rated[name] = result.averages()[average]
    return rated


def choose_videos(
    rated: Mapping[str, float], names: Sequence[str], count: int
) -> dict[str, list[str]]:
    """Chooses the videos to draw; those with equal ratings are ordered by name.

    Args:
        rated: Ratings from `rate_videos`.
        names: All evaluated videos, from which to choose if none is rated.
        count: Largest number of videos.

    Returns:
        Names of the videos by group, such as "best".
    """
    ranking = sorted(rated, key=lambda name: (-rated[name], name))
    if not ranking:
        return {"without annotated instances, therefore not ranked": sorted(names)[:count]}
    if len(ranking) <= count:
        return {"all, best first": ranking}
    best = math.ceil(count / 3)
    median = math.ceil((count - best) / 2)
    middle = (len(ranking) - median) // 2
    return {
        "best": ranking[:best],
        "median": ranking[middle : middle + median],
        "worst": ranking[len(ranking) - (count - best - median) :],
    }
