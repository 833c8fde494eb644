"""A synthetic pair of videos for the figure of the method, with the alignments of its candidates.

The alignments are computed by models/alignment.py, so the figure follows the code.

Letters: T snippets, D channels, C classes, L candidate snippets of each video.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from models.alignment import (
    cosine_table,
    fine_grained_sequence_distance,
    longest_common_subsequence,
)

Floats = NDArray[np.float64]

SNIPPETS, CHANNELS, CLASSES, STAGES = 64, 14, 5, 5
ACTION_CLASS = 1
SNIPPET_SECONDS = 0.64
FSD_LENGTH, LCS_LENGTH, LCS_THRESHOLD, GAMMA = 5, 30, 0.92, 0.1
ACTIONS = (((8, 21), (37, 55)), ((6, 19), (29, 47)))  # snippets [first, end) of each video
LEVELS = (0.3, 0.45, 0.6)  # thresholds on the class activation sequence
NMS_TIOU = 0.3
SEED = 362


class Proposal(NamedTuple):
    """A run of snippets above a threshold.

    Attributes:
        level: Index of the threshold in `LEVELS`.
        start: First snippet.
        end: First snippet after it.
        score: Mean activation inside minus mean activation next to it.
    """

    level: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Video:
    """A synthetic video with the network outputs that the figure shows.

    Attributes:
        stage: (T,) sub-action shown by each snippet, -1 where there is no action.
        features: (T, D) snippet features.
        embedding: (T, D) features after the embedding.
        attention: (T, 3) instance, context and background attention.
        cas: (T, C + 1) class activation sequence, background last.
    """

    stage: NDArray[np.int64]
    features: Floats
    embedding: Floats
    attention: Floats
    cas: Floats

    def candidates(self, length: int) -> NDArray[np.int64]:
        """The snippets of highest instance attention, in temporal order."""
        return np.sort(np.argsort(-self.attention[:, 0])[:length])


Pair = tuple[Video, Video]


def make_pair() -> Pair:
    """Two videos of one class, whose actions show the same sub-actions in the same order."""
    random = np.random.default_rng(SEED)
    looks = np.maximum(random.normal(size=(STAGES, CHANNELS)) + 0.3, 0)
    looks = looks + 0.35 * np.roll(looks, 1, axis=0)  # neighbouring sub-actions are alike
    first, second = (_make_video(spans, looks, random) for spans in ACTIONS)
    return first, second


def _make_video(spans: tuple[tuple[int, int], ...], looks: Floats, random: Generator) -> Video:
    stage = np.full(SNIPPETS, -1)
    for first, end in spans:
        stage[first:end] = np.arange(end - first) * STAGES // (end - first)
    scene = np.maximum(random.normal(size=CHANNELS), 0) * 0.7
    look = np.where(stage[:, None] >= 0, looks[stage], scene)
    look = look + 0.12 * random.normal(size=look.shape)
    embedding = np.maximum(_smooth(look, 3), 0)
    features = np.abs(embedding + 0.45 * random.normal(size=embedding.shape))
    acting = (stage >= 0).astype(float)[:, None]
    action = _smooth(acting, 5)
    around = np.maximum(_smooth(acting, 13) - 0.8 * action, 0)
    noise = _smooth(random.normal(size=(SNIPPETS, 3)), 3)
    logits = np.hstack([2.7 * action - 0.9, 5.0 * around - 0.2, 1.1 - 1.6 * action])
    attention = _softmax(logits + 0.5 * noise)
    activation = _smooth(0.8 * random.normal(size=(SNIPPETS, CLASSES + 1)), 5)
    activation[:, ACTION_CLASS] += 3.0 * action[:, 0] + 2.0 * around[:, 0]
    activation[:, -1] += 2.2 * (1 - action[:, 0])
    return Video(stage, features, embedding, attention, _softmax(activation))


def _smooth(values: Floats, width: int) -> Floats:
    """Weighted moving average over time."""
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def soft_alignment(pair: Pair) -> tuple[Floats, Floats]:
    """Match scores of the FSD candidates, and the gradient of FSD: the soft alignment.

    Returns:
        Two (L, L) arrays: cosine similarities, and the weight of each cell in the alignment.
    """
    match = _cosines(pair, FSD_LENGTH).requires_grad_()
    gap = match.detach() - 0.6  # the network has a projection of its own for the gap scores
    score = fine_grained_sequence_distance(match, gap, gap, GAMMA)
    (gradient,) = torch.autograd.grad(score.sum(), match)
    return match.detach()[0].numpy(), gradient[0].numpy()


def common_subsequence(pair: Pair) -> tuple[Floats, Floats]:
    """Similarities of the LCS candidates, and the gradient of LCS: 1 at each of its matches.

    Returns:
        Two (L, L) arrays.
    """
    similarity = _cosines(pair, LCS_LENGTH).requires_grad_()
    score = longest_common_subsequence(similarity, LCS_THRESHOLD)
    (gradient,) = torch.autograd.grad(score.sum(), similarity)
    return similarity.detach()[0].numpy(), gradient[0].numpy()


def _cosines(pair: Pair, length: int) -> torch.Tensor:
    """(1, L, L) cosine similarities between the candidates of the two videos."""
    first, second = (torch.tensor(v.embedding[v.candidates(length)])[None] for v in pair)
    return cosine_table(first, second)


def proposals(video: Video) -> list[Proposal]:
    """Runs of the action class above each threshold, best score first."""
    activation = video.cas[:, ACTION_CLASS]
    found = []
    for level, threshold in enumerate(LEVELS):
        for above, run in groupby(range(SNIPPETS), key=lambda t: activation[t] >= threshold):
            snippets = list(run)
            start, end = snippets[0], snippets[-1] + 1
            margin = max(1, round(0.2 * (end - start)))
            outside = [*activation[max(0, start - margin) : start], *activation[end : end + margin]]
            score = float(activation[start:end].mean() - np.mean(outside))
            if above:
                found.append(Proposal(level, start, end, score))
    return sorted(found, key=lambda proposal: -proposal.score)


def suppressed(ranked: list[Proposal]) -> list[Proposal]:
    """The proposals that no better one overlaps (NMS)."""
    kept: list[Proposal] = []
    for one in ranked:
        if all(_overlap(one, better) <= NMS_TIOU for better in kept):
            kept.append(one)
    return kept


def _overlap(one: Proposal, other: Proposal) -> float:
    """Temporal intersection over union."""
    inside = min(one.end, other.end) - max(one.start, other.start)
    return max(0, inside) / (max(one.end, other.end) - min(one.start, other.start))
