"""From the scores of a video to scored segments in seconds.

Letters: T sampled snippets, C action classes, S = T * upsampling steps, K thresholds, P proposals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config.localization import LocalizationSettings
from eval.nms import non_maximum_suppression
from eval.scores import VideoScores
from eval.segments import Segments

Runs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # row, first step, end step


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
    found = []
    for number, video in enumerate(videos):
        _check(video, len(classes))
        length = len(video.attention)
        if length == 0:
            continue
        attention = upsample(video.attention, settings.upsampling)
        step_seconds = _step_seconds(video, settings)
        probabilities = video.class_scores[: len(classes)]
        for label in _searched_classes(probabilities, settings.class_threshold):
            cas = upsample(video.cas[:, label], settings.upsampling)
            bonus = settings.score_class_weight * float(probabilities[label])
            first, end, score = _propose_class(cas, attention, bonus, settings)
            found.append((number, label, first * step_seconds, end * step_seconds, score))
    return _table(videos, classes, found)


def _propose_class(
    cas: NDArray[np.float64],
    attention: NDArray[np.float64],
    bonus: float,
    settings: LocalizationSettings,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The runs [first step, end step) of one class in one video, and their scores.

    Args:
        cas: (S,) upsampled CAS of the class.
        attention: (S,) upsampled attention.
        bonus: Added to the score of the runs of the attention.
        settings: Localization settings.
    """
    above_cas = cas >= np.asarray(settings.cas_thresholds, np.float64)[:, None]  # (K, S)
    above = attention >= np.asarray(settings.attention_thresholds, np.float64)[:, None]
    cas_runs, attention_runs = _runs(above_cas), _runs(above)
    weighted_cas = settings.score_cas_weight * cas
    weighted_attention = settings.score_attention_weight * attention
    if not settings.score_attention_weight:  # then the thresholds on it make no difference
        attention_runs = (np.zeros_like(attention_runs[0]), *attention_runs[1:])
        above = above[:1]
    # The rows on which runs are scored, those of the CAS first; the last column is padding.
    sequences = np.zeros((len(above_cas) + len(above), len(cas) + 1))
    sequences[: len(above_cas), :-1] = weighted_cas * above_cas + weighted_attention
    sequences[len(above_cas) :, :-1] = weighted_cas + weighted_attention * above
    row = np.concatenate([cas_runs[0], attention_runs[0] + len(above_cas)])
    first, end = (
        np.concatenate(pair) for pair in zip(cas_runs[1:], attention_runs[1:], strict=True)
    )
    score = _outer_inner_contrast(sequences, row, first, end, settings.outer_ratio)
    score[len(cas_runs[0]) :] += bonus
    return first, end, score


def upsample(values: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """Linear interpolation over time: step `factor * t` is snippet t.

    Args:
        values: (T,) scores of the snippets, T >= 1.
        factor: Steps per snippet.

    Returns:
        (T * factor,) float64. The last `factor - 1` steps continue the last line; a single snippet
        gives a constant.
    """
    if len(values) == 1:
        return np.full(factor, values[0], np.float64)
    # As in the official implementation, whose values we reproduce, the difference is rounded to the
    # precision of the scores, and a snippet ends the line before it instead of starting the next.
    rise = np.diff(values).astype(np.float64)
    fractions = np.arange(1, 2 * factor) / factor
    result = np.empty(len(values) * factor)
    tail = len(result) - factor + 1
    result[0] = values[0]
    lines = result[1:tail].reshape(-1, factor)
    np.multiply(rise[:, None], fractions[:factor], out=lines)
    lines += values[:-1, None]
    result[tail:] = values[-2] + rise[-1] * fractions[factor:]
    return result


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


def _searched_classes(class_scores: NDArray[np.floating], threshold: float) -> list[int]:
    above = np.flatnonzero(class_scores.astype(np.float64) > threshold)
    return above.tolist() or [int(np.argmax(class_scores))]


def _runs(above: NDArray[np.bool_]) -> Runs:
    """Runs of two or more True in the rows of (K, S); a run ends before its end step."""
    levels, steps = above.shape
    fenced = np.zeros((levels, steps + 2), bool)
    fenced[:, 1:-1] = above
    edges = np.flatnonzero(fenced[:, 1:] != fenced[:, :-1])
    level, edges = np.divmod(edges, steps + 1)
    level, first, end = level[::2], edges[::2], edges[1::2]
    long = end - first > 1
    return level[long], first[long], end[long]


def _outer_inner_contrast(
    sequences: NDArray[np.float64],
    row: NDArray[np.int64],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    outer_ratio: float,
) -> NDArray[np.float64]:
    """Mean inside each run minus the mean over the windows on both sides.

    Args:
        sequences: (rows, S + 1), the last value of each row being padding.
        row, first, end: (P,) the run [first, end) of a row.
        outer_ratio: Length of a window relative to the length of the run.
    """
    stride = sequences.shape[1]
    length = end - first
    # The official implementation truncates the end of a window, not its length.
    left = np.maximum(first - outer_ratio * length, 0).astype(np.int64)
    right = np.minimum(end - 1 + outer_ratio * length, stride - 2).astype(np.int64) + 1
    # Each interval is summed by itself: differences of prefix sums lose digits where a short run
    # lies late in a long video. reduceat also sums from the end of one run to the start of the
    # next unless the start comes first, which is why it goes from the last run to the first.
    borders = np.stack([left, first, end, right], 1) + (row * stride)[:, None]
    sums = np.add.reduceat(sequences.ravel(), borders[::-1].ravel()).reshape(-1, 4)[::-1]
    # For an empty interval reduceat gives the value at its border.
    outside = sums[:, 0] * (left < first) + sums[:, 2] * (end < right)
    return sums[:, 1] / length - outside / np.maximum(right - left - length, 1)


def _table(
    videos: Sequence[VideoScores], classes: Sequence[str], found: Sequence[tuple]
) -> Segments:
    """One table of the (video index, class index, starts, ends, scores) of each video and class."""
    number, label, start, end, score = zip(*found, strict=True) if found else [()] * 5
    sizes = [len(scores) for scores in score]
    empty = np.empty(0)
    return Segments(
        tuple(video.name for video in videos),
        tuple(classes),
        np.repeat(np.array(number, np.int64), sizes),
        np.repeat(np.array(label, np.int64), sizes),
        np.concatenate([empty, *start]),
        np.concatenate([empty, *end]),
        np.concatenate([empty, *score]),
    )
