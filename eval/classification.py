"""Video-level classification: which classes occur in a video at all."""

import numpy as np
from numpy.typing import NDArray


def classification_map(scores: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Mean over the classes of the average precision of ranking the videos by a class's score.

    Args:
        scores: (V, C) of V videos and C classes.
        labels: (V, C), 1 where the class occurs in the video.

    Returns:
        A fraction; classes that occur in no video are left out. NaN if none occurs.
    """
    occurring = labels.any(axis=0)
    if not occurring.any():
        return float("nan")
    from sklearn.metrics import average_precision_score  # takes a second: not for --help

    return float(average_precision_score(labels[:, occurring], scores[:, occurring]))
