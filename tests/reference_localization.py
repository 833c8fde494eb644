"""Slow, readable reference implementation of `eval.localization` and `eval.nms`, run by run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config.localization import LocalizationSettings
from eval.scores import VideoScores

Row = tuple[int, float, float, float]  # class index, score, start s, end s


def upsample(values: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """(T,) -> (T * factor,): linear between snippets, extrapolated over the last steps."""
    if len(values) == 1:
        return np.full(factor, values[0], np.float64)
    snippets = np.arange(len(values)) * factor
    steps = np.arange(len(values) * factor)
    right = np.searchsorted(snippets, steps).clip(1, len(values) - 1)
    left = right - 1
    rise = (values[right] - values[left]).astype(np.float64)
    return values[left] + rise * ((steps - snippets[left]) / factor)


def consecutive(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Splits rising positions into runs of consecutive ones."""
    return np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)


def outer_inner_contrast(
    cas: NDArray[np.float64], run: NDArray[np.int64], outer_ratio: float
) -> float:
    """Mean of the CAS in the run minus its mean in the windows on both sides."""
    first, last, length = int(run[0]), int(run[-1]), len(run)
    left = max(0, int(first - outer_ratio * length))
    right = min(len(cas) - 1, int(last + outer_ratio * length))
    around = [*range(left, first), *range(last + 1, right + 1)]
    return float(np.mean(cas[run])) - (float(np.mean(cas[around])) if around else 0.0)


def propose(video: VideoScores, classes: int, settings: LocalizationSettings) -> list[Row]:
    """Proposals of one video in order of class, threshold (CAS first) and time."""
    if len(video.cas) == 0:
        return []
    probabilities = [float(p) for p in video.class_scores[:classes]]
    searched = [c for c in range(classes) if probabilities[c] > settings.class_threshold]
    searched = searched or [probabilities.index(max(probabilities))]
    upsampling = settings.upsampling
    attention = upsample(video.attention, upsampling)
    snippet_seconds = settings.snippet_frames / settings.frames_per_second
    step_seconds = snippet_seconds * video.snippets / (upsampling * len(video.cas))
    proposals = []
    for label in searched:
        cas = upsample(video.cas[:, label], upsampling)
        lists = []
        for threshold in settings.cas_thresholds:
            lists.append((np.where(cas >= threshold)[0], np.where(cas >= threshold, cas, 0.0)))
        for threshold in settings.attention_thresholds:
            lists.append((np.where(attention >= threshold)[0], cas))
        for positions, sequence in lists:
            for run in consecutive(positions):
                if len(run) > 1:
                    score = outer_inner_contrast(sequence, run, settings.outer_ratio)
                    start, end = run[0] * step_seconds, (run[-1] + 1) * step_seconds
                    proposals.append((label, score, float(start), float(end)))
    return proposals


def non_maximum_suppression(proposals: Sequence[Row], tiou: float, offset: float) -> list[Row]:
    """Greedy suppression class by class; of equal scores the earlier proposal goes first."""
    kept = []
    for label in sorted({row[0] for row in proposals}):
        rows = np.array([row for row in proposals if row[0] == label])
        _, score, start, end = rows.T
        length = end - start + offset
        order = np.argsort(-score, kind="stable")
        while len(order):
            best, rest = order[0], order[1:]
            kept.append((label, float(score[best]), float(start[best]), float(end[best])))
            overlap = np.minimum(end[best], end[rest]) - np.maximum(start[best], start[rest])
            overlap = np.maximum(overlap + offset, 0)
            order = rest[overlap <= tiou * (length[best] + length[rest] - overlap)]
    return kept
