"""When the snippets of a feature file start, and whether that fits the durations of the videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import NamedTuple

FRAME_RATES = (25.0, 30.0, 24.0, 29.97, 23.976)  # customary ones, in frames per second
HIGH_FRAME_RATES = (50.0, 60.0)
STRIDES = (16, 8, 4, 24, 32, 64)  # customary ones, in frames
WINDOW = 16  # frames that a snippet shows; with a smaller stride, snippets overlap
TOLERANCE = 0.03  # relative difference between features and duration that is no mistake
FEW = 0.1  # share of the videos that may be wrong in themselves at a stride that is right


@dataclass(frozen=True)
class SnippetTiming:
    """When the snippets of a feature file start.

    Attributes:
        frames: Stride, frames per snippet.
        frames_per_second: Frame rate of the videos when the features were extracted.
        from_duration: Whether the snippets of a video are spread evenly over its duration instead,
            for features rescaled to a fixed number of snippets.
    """

    frames: int
    frames_per_second: float
    from_duration: bool = False

    @property
    def seconds(self) -> float:
        """Seconds between the starts of neighbouring snippets, at this stride."""
        return self.frames / self.frames_per_second


class Extent(NamedTuple):
    """The length of a video, from its feature file and from its annotations.

    Attributes:
        name: Split and name of the video, for messages.
        snippets: Number of snippets in the feature file (N).
        duration: Duration in seconds.
        channels: Number of channels in the feature file.
    """

    name: str
    snippets: int
    duration: float
    channels: int = 0


def timing_warning(videos: Sequence[Extent], timing: SnippetTiming) -> str:
    """A warning if features and durations do not fit together, with the setting that would.

    A last incomplete snippet may have been dropped or padded, and a few videos may be wrong in
    themselves.

    Args:
        videos: All videos with a known duration.
        timing: Settings of the run.

    Returns:
        One line; "" if everything fits.
    """
    unfit = [] if timing.from_duration else _unfit(videos, timing)
    if not unfit:
        return ""
    first = f"{unfit[0].name} ({unfit[0].snippets} snippets, {unfit[0].duration:g} s)"
    found = (
        f"the features of {len(unfit)} of {len(videos)} videos do not span their duration at "
        f"{timing.seconds:.4g} s per snippet (--snippet_frames {timing.frames}, "
        f"--frames_per_second {timing.frames_per_second:g}), such as {first}"
    )
    spread = "--snippet_timing duration, which spreads the snippets of a video over its duration"
    if 2 * len(unfit) <= len(videos):
        return (
            f"{found}; their segment times are wrong: extract these features again or correct the "
            f"durations; features at the frame rate of each video need {spread}"
        )
    flags, stride = _stride_of(_typical_seconds(videos), videos, timing)
    if len(_unfit(videos, stride)) <= FEW * len(videos):
        return f"{found}; segment times are wrong: use {flags} ({stride.seconds:.4g} s per snippet)"
    if len({video.snippets for video in videos}) > 1:
        return f"{found}; segment times are wrong and no single stride is right: use {spread}"
    return (
        f"{_rescaled(videos)}; segment times at {timing.seconds:.4g} s per snippet are wrong: use "
        f"{spread}"
    )


def _rescaled(videos: Sequence[Extent]) -> str:
    """What is said of features with the same number of snippets for every duration."""
    number, channels = videos[0].snippets, videos[0].channels
    durations = [video.duration for video in videos]
    transposed = f", or {number} is the number of channels and the files are transposed"
    return (
        f"all feature files have {number} snippets, but the videos last {min(durations):.3g} to "
        f"{max(durations):.3g} s: the features are rescaled to a fixed number of snippets"
        f"{transposed if number > channels else ''}"
    )


def are_transposed(
    shapes: Sequence[tuple[int, int]], durations: Sequence[float | None], timing: SnippetTiming
) -> bool:
    """Whether feature files are (channels, snippets) beyond doubt.

    That is so if all have the same number of rows, and columns that are proportional to the
    durations; or, if the columns too are the same in all files, columns that fit the durations at
    the stride of the settings while the rows do not.

    Args:
        shapes: Rows and columns of each file.
        durations: Duration of each video in seconds, None if unknown.
        timing: Settings of the run.
    """
    known = [(rows, columns, d) for (rows, columns), d in zip(shapes, durations, strict=True) if d]
    if len({rows for rows, _ in shapes}) != 1 or not known:
        return False
    by_rows = [Extent("", rows, duration) for rows, _, duration in known]
    by_columns = [Extent("", columns, duration) for _, columns, duration in known]
    if len({columns for _, columns in shapes}) > 1:
        seconds = _typical_seconds(by_columns)
        ratios = [video.snippets * seconds / video.duration for video in by_columns]
        return sum(0.75 < ratio < 1.25 for ratio in ratios) >= (1 - FEW) * len(ratios)
    if timing.from_duration or len(_unfit(by_columns, timing)) > FEW * len(known):
        return False
    return not 0.5 < timing.seconds / _typical_seconds(by_rows) < 2


def _unfit(videos: Sequence[Extent], timing: SnippetTiming) -> list[Extent]:
    """The videos whose number of snippets does not fit their duration, rounding set aside."""
    rounding = max(1, WINDOW / timing.frames) + 1  # snippets that may be missing at the end
    found = []
    for video in videos:
        expected = video.duration / timing.seconds
        if abs(video.snippets - expected) > max(rounding, TOLERANCE * expected):
            found.append(video)
    return found


def _typical_seconds(videos: Sequence[Extent]) -> float:
    """Median of the seconds per snippet over the longer half, in which rounding matters less.

    On average the end of a video lacks half a snippet.
    """
    longest = sorted(videos, key=lambda video: -video.duration)[: (len(videos) + 1) // 2]
    return median(video.duration / (video.snippets + 0.5) for video in longest)


def _stride_of(
    seconds: float, videos: Sequence[Extent], timing: SnippetTiming
) -> tuple[str, SnippetTiming]:
    """The stride of features with about these seconds per snippet, and the flags that set it.

    It is a customary frame rate, a customary stride or both; or else some frame rate.
    """
    frames, rate = timing.frames, timing.frames_per_second
    groups = [
        [(f"--frames_per_second {r:g}", frames, r) for r in FRAME_RATES],
        [(f"--snippet_frames {n}", n, rate) for n in STRIDES],
        [(f"--frames_per_second {r:g}", frames, r) for r in HIGH_FRAME_RATES],
        [
            (f"--snippet_frames {n} --frames_per_second {r:g}", n, r)
            for r, n in product(FRAME_RATES + HIGH_FRAME_RATES, STRIDES)
        ],
    ]
    for group in groups:
        near = []
        for flags, n, r in group:
            stride = SnippetTiming(n, r)
            difference = abs(stride.seconds / seconds - 1)
            if difference < TOLERANCE:
                near.append((len(_unfit(videos, stride)), round(difference, 2), flags, stride))
        if near:  # of equally good ones the first
            return min(near, key=lambda option: option[:2])[2:]
    some = float(f"{frames / seconds:.3g}")
    return f"--frames_per_second {some:g}", SnippetTiming(frames, some)
