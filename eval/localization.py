"""From the scores of a video to scored segments in seconds.

Letters: T sampled snippets, C action classes, Q searches (a video and a class), P proposals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config.localization import LocalizationSettings
from eval.interval_sums import IntervalSums
from eval.nms import non_maximum_suppression
from eval.ranges import blocks, expand_ranges
from eval.runs import Runs, find_edges, find_runs
from eval.scores import VideoScores
from eval.segments import Segments
from eval.upsampling import upsample

BLOCK = 8192  # snippets searched at once: few enough for the caches, enough to amortize the calls


def localize(
    videos: Sequence[VideoScores], classes: Sequence[str], settings: LocalizationSettings
) -> Segments:
    """Detects the actions in all videos: `propose`, then `non_maximum_suppression`.

    Args:
        videos: Scores of each video, see `propose`.
        classes: Names of the C action classes.
        settings: Localization settings.

    Returns:
        The kept proposals by video (in the given order), class index and descending score.
        Videos without a detection stay in the list of names.

    Raises:
        ValueError: If shapes disagree or a score is not finite, naming the video.
    """
    proposals = propose(videos, classes, settings)
    return non_maximum_suppression(proposals, settings.nms_tiou, settings.nms_offset)


def propose(
    videos: Sequence[VideoScores], classes: Sequence[str], settings: LocalizationSettings
) -> Segments:
    """Proposes intervals at or above each threshold, with their outer-inner contrast.

    A video is searched for every class whose score exceeds `class_threshold`, or for its best class
    if there is none. Each threshold on the class activation sequence (CAS) gives the runs of the
    CAS at or above it; each threshold on the attention gives runs of the attention. Runs of a
    single step are discarded. A run is scored on a weighted sum of CAS and attention, in which the
    sequence that gave the run is 0 below the threshold; the video score of the class may be added
    for a run of the attention. Source: the official implementations (THUMOS14: CAS alone).

    Args:
        videos: Scores of each video; T = 0 is a video without proposals. Only the first C columns
            and class scores are read: the background may follow or be left out.
        classes: Names of the C action classes.
        settings: Localization settings. A sampled snippet lasts N / T snippets of the feature file.

    Returns:
        Proposals in order of video, class, threshold (CAS first) and time. Their score is the mean
        of the sequence inside minus its mean over the two outer windows, which end at the borders
        of the video (0 where nothing is left of them).

    Raises:
        ValueError: If shapes disagree or a score is not finite, naming the video.
    """
    for one in videos:
        _check(one, len(classes))
    video, label = _searches(videos, len(classes), settings.class_threshold)
    snippets = np.array([len(one.attention) for one in videos], np.int64)
    tables = [
        _search(videos, video[rows], label[rows], settings)
        for rows in blocks(snippets[video], BLOCK)
    ]
    names = tuple(one.name for one in videos)
    columns = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    return Segments(names, tuple(classes), *columns)


def _search(
    videos: Sequence[VideoScores],
    video: NDArray[np.int64],
    label: NDArray[np.int64],
    settings: LocalizationSettings,
) -> tuple[NDArray, ...]:
    """The proposals of some searches: columns of video, class, start, end and score.

    Args:
        videos: Scores of all videos.
        video: (Q,) index of the video to search, ascending.
        label: (Q,) index of the class.
        settings: Localization settings.
    """
    searches = list(zip(video.tolist(), label.tolist(), strict=True))
    searched, number = np.unique(video, return_inverse=True)  # each with one attention
    cas = upsample([videos[v].cas[:, c] for v, c in searches], settings.upsampling)
    attention = upsample([videos[v].attention for v in searched], settings.upsampling)
    cas_edges = find_edges(cas, settings.cas_thresholds)
    attention_edges = find_edges(attention, settings.attention_thresholds)
    cas_runs = find_runs(cas, cas_edges)
    attention_runs = _for_every_search(find_runs(attention, attention_edges), number)

    from_attention = np.repeat([False, True], [len(cas_runs.end), len(attention_runs.end)])
    threshold, search, first, end = map(np.concatenate, zip(cas_runs, attention_runs, strict=True))

    borders = _window_borders(first, end, cas.steps[search], settings.outer_ratio)
    # A sequence counts as 0 below the threshold that gave the run, and as a whole if it gave none.
    row = np.where(from_attention, len(settings.cas_thresholds), threshold)
    sums = IntervalSums(cas, cas_edges)(row, search, borders)
    score = settings.score_cas_weight * _outer_inner_contrast(sums, borders)
    if settings.score_attention_weight:
        row = np.where(from_attention, threshold, len(settings.attention_thresholds))
        sums = IntervalSums(attention, attention_edges)(row, number[search], borders)
        score += settings.score_attention_weight * _outer_inner_contrast(sums, borders)
    class_score = np.array([float(videos[v].class_scores[c]) for v, c in searches])
    score += settings.score_class_weight * class_score[search] * from_attention

    order = np.argsort(search, kind="stable")
    search = search[order]
    step_seconds = np.array([_step_seconds(videos[v], settings) for v, _ in searches])[search]
    start, end = first[order] * step_seconds, end[order] * step_seconds
    return video[search], label[search], start, end, score[order]


def _for_every_search(runs: Runs, number: NDArray[np.int64]) -> Runs:
    """Repeats the runs of every video for each of its searches.

    Args:
        runs: Runs in the sequences of the videos.
        number: (Q,) sequence of the video of each search, ascending.
    """
    searches = np.bincount(number)
    first = np.cumsum(searches) - searches
    run, search = expand_ranges(first[runs.sequence], searches[runs.sequence])
    return Runs(runs.threshold[run], search, runs.first[run], runs.end[run])


def _window_borders(
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    steps: NDArray[np.int64],
    outer_ratio: float,
) -> NDArray[np.int64]:
    """(4, P) borders of the left window, the run and the right window, which are neighbours.

    Args:
        first, end: (P,) the run covers the steps from `first` to before `end`.
        steps: (P,) number of steps of its sequence.
        outer_ratio: Length of a window relative to the length of the run.
    """
    length = end - first
    # The official implementation truncates the end of a window, not its length.
    left = np.maximum(first - outer_ratio * length, 0).astype(np.int64)
    right = np.minimum(end - 1 + outer_ratio * length, steps - 1).astype(np.int64) + 1
    return np.stack([left, first, end, right])


def _outer_inner_contrast(
    sums: NDArray[np.float64], borders: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean inside each run minus the mean over the windows on both sides, 0 without windows.

    Args:
        sums: (3, P) sums over the left window, the run and the right window.
        borders: (4, P) their borders.
    """
    left, inside, right = np.diff(borders, axis=0)
    return sums[1] / inside - (sums[0] + sums[2]) / np.maximum(left + right, 1)


def _searches(
    videos: Sequence[VideoScores], classes: int, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(Q,) index of the video and of the class of each search, in this order."""
    scores = [one.class_scores[:classes].astype(np.float64) for one in videos]
    table = np.stack(scores) if scores else np.empty((0, classes))  # (V, C)
    searched = table > threshold
    none = np.flatnonzero(~searched.any(axis=1))
    searched[none, table[none].argmax(axis=1)] = True
    searched[[len(one.attention) == 0 for one in videos]] = False
    video, label = np.nonzero(searched)
    return video, label


def _step_seconds(video: VideoScores, settings: LocalizationSettings) -> float:
    """Seconds from one upsampled step of a video to the next."""
    length = len(video.attention)
    if video.span is not None:
        return video.span / (settings.upsampling * length)
    frame_steps = settings.frames_per_second * settings.upsampling * length
    return settings.snippet_frames * video.snippets / frame_steps


def _check(video: VideoScores, classes: int) -> None:
    cas, attention, class_scores = video.cas, video.attention, video.class_scores
    if cas.ndim != 2 or cas.shape[1] < classes or attention.shape != cas.shape[:1]:
        raise ValueError(
            f"video {video.name}: cas {cas.shape} and attention {attention.shape} do not fit "
            f"together; wanted (T, {classes} or more) and (T,)"
        )
    if class_scores.ndim != 1 or len(class_scores) < classes:
        raise ValueError(
            f"video {video.name}: class_scores {class_scores.shape}, wanted ({classes} or more,)"
        )
    for field in ("cas", "attention", "class_scores"):
        if not np.isfinite(getattr(video, field)).all():
            raise ValueError(
                f"video {video.name}: {field} holds NaN or infinity; the network has diverged"
            )
