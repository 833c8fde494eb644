"""Video-level classification: which classes occur in a video at all."""

import numpy as np
from numpy.typing import NDArray


def classification_map(scores: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Mean over the classes of the average precision of ranking the videos by their class score.

    Args:
        scores: (V, C) scores of V videos for C classes.
        labels: (V, C), 1 where the class occurs in the video.

    Returns:
        The mean as a fraction, without the classes that occur in no video; NaN if none occurs.
    """
    occurring = labels.any(axis=0)
    if not occurring.any():
        return float("nan")
    from sklearn.metrics import average_precision_score  # takes a second, which --help need not

    return float(average_precision_score(labels[:, occurring], scores[:, occurring]))
