"""The border between networks and evaluation: the scores of a video as arrays.

Whatever comes before may need PyTorch, whatever comes after needs only NumPy, so that a network
of another kind can be evaluated by filling in `VideoScores`.

Letters: T sampled snippets, N snippets in the feature file, C action classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class VideoScores(NamedTuple):
    """Scores that a network gives to one video, on the CPU.

    Attributes:
        name: Name of the video.
        snippets: N, which together with T gives the time of a sampled snippet.
        cas: (T, C + 1) class activation sequence (CAS) of the instance branch, softmax over the
            classes, background last.
        attention: (T,) instance attention.
        class_scores: (C + 1,) video-level class probabilities of the instance branch.
        span: Time over which the N snippets are spread, in seconds; None if the stride of the
            settings gives it.
        branch_attention: (T, 3) attention of the instance, context and background branches, for
            figures; None if the network has no such branches.
    """

    name: str
    snippets: int
    cas: NDArray[np.float32]
    attention: NDArray[np.float32]
    class_scores: NDArray[np.float32]
    span: float | None = None
    branch_attention: NDArray[np.float32] | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every score is finite; those of a network that has diverged are not."""
        scores = (self.cas, self.attention, self.class_scores)
        return all(bool(np.isfinite(values).all()) for values in scores)

    def seconds(self, snippet_seconds: float) -> float:
        """Time that the N snippets cover together, in seconds.

        Args:
            snippet_seconds: Seconds between the starts of neighbouring snippets, if there is no
                `span`.
        """
        return snippet_seconds * self.snippets if self.span is None else self.span
