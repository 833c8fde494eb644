"""Video-level classification: which classes occur in a video at all."""

import numpy as np
from numpy.typing import NDArray


def classification_map(scores: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Mean over the classes of the average precision of ranking the videos by their class score.

    Videos of equal score are found together. The values are those of
    `sklearn.metrics.average_precision_score`, which takes half of an evaluation with 200 classes,
    as it checks its input once per class (benchmarks/evaluation_parts.py).

    Args:
        scores: (V, C) scores of V videos for C classes.
        labels: (V, C), 1 where the class occurs in the video.

    Returns:
        The mean as a fraction, without the classes that occur in no video; NaN if none occurs.
    """
    occurring = np.flatnonzero(labels.any(axis=0))
    if not len(occurring):
        return float("nan")
    positive = labels != 0
    return float(np.mean([_average_precision(scores[:, c], positive[:, c]) for c in occurring]))


def _average_precision(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Sum of the precision after each distinct score, weighted with the increase of the recall.

    Args:
        scores: (V,) scores of the videos for one class.
        positive: (V,) whether the class occurs.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of the equal scores
    found = np.cumsum(positive[order])[last]
    recall = np.append(0, found / found[-1])
    increase = recall[1:] - recall[:-1]
    # Summed from the lowest score, as it is there, to get the same digits.
    return float((increase * (found / (last + 1)))[::-1].copy().sum())
