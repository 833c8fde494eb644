"""The alignments of pairs of videos as arrays, as `alignment_figure` draws them.

Letters: T sampled snippets of a video, L and M candidate snippets of the first and second video.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.videos import Segment

MATCH, INSERT, DELETE = 1, 2, 3  # codes of a path, those of models.recurrence


@dataclass(frozen=True)
class AlignedVideo:
    """One video of a pair.

    Attributes:
        name: Name of the video.
        classes: Its classes.
        starts: (T,) start of each sampled snippet, in seconds.
        attention: (T,) instance attention.
        duration: Seconds that its snippets cover.
        instances: Annotated action instances.
    """

    name: str
    classes: tuple[str, ...]
    starts: NDArray[np.float64]
    attention: NDArray[np.float32]
    duration: float
    instances: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Alignment:
    """The alignment of the candidate snippets of two videos.

    Attributes:
        name: "FSD" or "LCS".
        first: (L,) candidates of the first video, indices of its sampled snippets, ascending.
        second: (M,) candidates of the second video, likewise.
        similarity: (L, M) cosine similarity of their snippets.
        path: (L, M) int8: `MATCH` in the cells that the path enters from the diagonal, `INSERT`
            from the row above, `DELETE` from the column before, 0 elsewhere.
        score: Score of the alignment: higher for more similar videos.
        threshold: Similarity above which two snippets match; None if any two may.
        background: Whether the candidates of the second video stand for background.
    """

    name: str
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]
    path: NDArray[np.int8]
    score: float
    threshold: float | None = None
    background: bool = False

    @property
    def moves(self) -> list[tuple[int, int, int]]:
        """Row, column and code of the cells of the path, from its first to its last."""
        rows, columns = np.nonzero(self.path)
        order = np.argsort(rows + columns, kind="stable")
        cells = zip(rows[order].tolist(), columns[order].tolist(), strict=True)
        return [(i, j, int(self.path[i, j])) for i, j in cells]


@dataclass(frozen=True)
class AlignedPair:
    """A pair of videos and its alignments.

    Attributes:
        first, second: The videos.
        positive: Whether they share a class.
        alignments: At most one of each name.
    """

    first: AlignedVideo
    second: AlignedVideo
    positive: bool
    alignments: tuple[Alignment, ...]
