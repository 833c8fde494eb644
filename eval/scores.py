"""What a network says about one video, as arrays: the border between networks and evaluation.

Letters: T sampled snippets, N rows in the feature file, C action classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class VideoScores(NamedTuple):
    """Scores of one video, on the CPU.

    Attributes:
        name: of the video.
        snippets: N, which with T gives the time of a sampled snippet.
        cas: (T, C + 1) class activation sequence of the instance branch, softmax over the classes,
            background last.
        attention: (T,) instance attention.
        class_scores: (C + 1,) probabilities of the classes in the video, instance branch.
    """

    name: str
    snippets: int
    cas: NDArray[np.float32]
    attention: NDArray[np.float32]
    class_scores: NDArray[np.float32]
