"""Statistics of the features of a data directory, read once in blocks.

Letters: N snippets of a video, n snippets of a block, D channels, V videos.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataset.features.files import SnippetFile
from dataset.features.reading import read_features
from utils.errors import Problems

NEAR_ZERO = 1e-3
Array = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of the features of some videos, of those without an invalid value.

    Attributes:
        videos, snippets, channels: Their numbers.
        norm: Mean of the norms of the snippets.
        norm_range: 5th and 95th percentile of these norms.
        norm_deviation: Standard deviation of these norms.
        half_norms: Mean norms of the first and the second half of the channels.
        near_zero: Fraction of entries of absolute value below 1e-3.
        negative: Fraction of entries that are negative.
        neighbours: Mean cosine of neighbouring snippets; NaN if no video has two.
        between: Mean cosine of the mean snippets of two videos; NaN if there is only one.
        repeated: Fraction of snippets that equal the one before.
        zero: Fraction of snippets that are zero.
        dead_channels: Number of channels of each half that are near zero in all snippets.
        constant_videos: Videos all snippets of which are the same one.
        equal_videos: Groups of videos with equal features.
    """

    videos: int
    snippets: int
    channels: int
    norm: float
    norm_range: tuple[float, float]
    norm_deviation: float
    half_norms: tuple[float, float]
    near_zero: float
    negative: float
    neighbours: float
    between: float
    repeated: float
    zero: float
    dead_channels: tuple[int, int]
    constant_videos: tuple[str, ...]
    equal_videos: tuple[tuple[str, ...], ...]


def measure_features(
    files: Sequence[SnippetFile],
    workers: int,
    problems: Problems,
    on_file: Callable[[], object] = lambda: None,
) -> FeatureStatistics | None:
    """Reads all features of files of equal width, checks every value, and measures them.

    Args:
        files: Feature files.
        workers: Number of threads that read.
        problems: Collects every file with values that are not finite.
        on_file: Is called once per file, for a progress bar.

    Returns:
        The statistics of the valid files; None if there are none.
    """
    if not files:
        return None
    collector = _Collector(files)
    read_features(files, False, workers, problems, collector.add, on_file)
    return collector.result()


@dataclass
class _Video:
    """Sums over the snippets of one video.

    Attributes:
        norms: (N, 3) norms of each snippet and of its halves, in blocks.
        total: (D,) sum of the snippets.
        largest: (D,) largest absolute value of each channel.
        last: (1, D) last snippet so far.
    """

    name: str
    norms: list[Array] = field(default_factory=list)
    near_zero: int = 0
    negative: int = 0
    cosines: float = 0.0
    pairs: int = 0
    repeated: int = 0
    total: NDArray[np.float64] | None = None
    largest: Array | None = None
    last: Array | None = None
    valid: bool = True

    def add(self, block: Array) -> None:
        """Adds the next snippets (n, D)."""
        if not np.isfinite(block).all():
            self.valid = False
        if not self.valid:
            return
        half = block.shape[1] // 2
        halves = [np.einsum("nd,nd->n", h, h) for h in (block[:, :half], block[:, half:])]
        norms = np.sqrt(np.stack([halves[0] + halves[1], *halves], axis=1))
        size = np.abs(block)
        self.near_zero += int(np.count_nonzero(size < NEAR_ZERO))
        self.negative += int(np.count_nonzero(block < 0))
        largest = size.max(axis=0)
        self.largest = largest if self.largest is None else np.maximum(self.largest, largest)
        total = block.sum(axis=0, dtype=np.float64)
        self.total = total if self.total is None else self.total + total
        if self.last is not None:
            self._add_neighbours(self.last, block[:1], self.norms[-1][-1:, 0], norms[:1, 0])
        self._add_neighbours(block[:-1], block[1:], norms[:-1, 0], norms[1:, 0])
        self.norms.append(norms)
        self.last = block[-1:].copy()

    def _add_neighbours(self, before: Array, after: Array, norms: Array, next_norms: Array) -> None:
        """Adds the cosines of snippets (n, D) and the next ones; zero ones have none."""
        products = norms * next_norms
        nonzero = products > 0
        cosines = np.einsum("nd,nd->n", before, after)[nonzero] / products[nonzero]
        self.cosines += float(cosines.sum(dtype=np.float64))
        self.pairs += len(cosines)
        same = np.flatnonzero(norms == next_norms)  # only these can be equal
        self.repeated += int((before[same] == after[same]).all(axis=1).sum())

    @property
    def snippets(self) -> int:
        """Number of snippets so far."""
        return sum(map(len, self.norms))


class _Collector:
    """Sums over all videos; receives the blocks of all files in order."""

    def __init__(self, files: Sequence[SnippetFile]) -> None:
        self.files = files
        self.number = 0  # of the current file
        self.left = files[0].shape[0]  # snippets of it that are still to come
        self.channels = files[0].shape[1]
        self.video = _Video(files[0].name)
        self.done: list[_Video] = []
        self.directions = np.zeros(self.channels)  # sum of the unit mean vectors
        self.directed = 0  # number of videos in that sum
        self.largest = np.zeros(self.channels, np.float32)
        self.means: dict[bytes, list[str]] = {}  # videos by their mean vector

    def add(self, view: memoryview) -> None:
        """Adds the next block (n, D)."""
        block = np.asarray(view)
        with np.errstate(all="ignore"):  # an overflow gives an infinite norm, which is reported
            self.video.add(block.astype(np.float32, copy=False))
        self.left -= len(block)
        if self.left:
            return
        self._end_video()
        self.number += 1
        if self.number < len(self.files):
            self.left = self.files[self.number].shape[0]
            self.video = _Video(self.files[self.number].name)

    def _end_video(self) -> None:
        video = self.video
        if not video.valid or video.total is None or video.largest is None:
            return
        mean = video.total / video.snippets
        length = float(np.linalg.norm(mean))
        if length > 0:
            self.directions += mean / length
            self.directed += 1
        self.largest = np.maximum(self.largest, video.largest)
        self.means.setdefault(mean.tobytes(), []).append(video.name)
        video.total = video.largest = video.last = None  # thousands of videos must fit into memory
        self.done.append(video)

    def result(self) -> FeatureStatistics | None:
        """The statistics; None if there is no valid video."""
        if not self.done:
            return None
        norms = np.concatenate([block for video in self.done for block in video.norms])
        snippets, pairs = len(norms), sum(video.pairs for video in self.done)
        entries = snippets * self.channels
        low, high = np.percentile(norms[:, 0], [5, 95])
        first, second = norms[:, 1:].mean(axis=0, dtype=np.float64)
        dead, half, v = self.largest < NEAR_ZERO, self.channels // 2, self.directed
        squared = float(self.directions @ self.directions)  # sum over all pairs, v of them equal
        return FeatureStatistics(
            videos=len(self.done),
            snippets=snippets,
            channels=self.channels,
            norm=float(norms[:, 0].mean(dtype=np.float64)),
            norm_range=(float(low), float(high)),
            norm_deviation=float(norms[:, 0].std(dtype=np.float64)),
            half_norms=(float(first), float(second)),
            near_zero=sum(video.near_zero for video in self.done) / entries,
            negative=sum(video.negative for video in self.done) / entries,
            neighbours=sum(video.cosines for video in self.done) / pairs if pairs else math.nan,
            between=(squared - v) / (v * (v - 1)) if v > 1 else math.nan,
            repeated=sum(video.repeated for video in self.done) / snippets,
            zero=float((norms[:, 0] == 0).mean()),
            dead_channels=(int(dead[:half].sum()), int(dead[half:].sum())),
            constant_videos=tuple(
                video.name for video in self.done if video.repeated == video.snippets - 1 > 0
            ),
            equal_videos=tuple(tuple(names) for names in self.means.values() if len(names) > 1),
        )
