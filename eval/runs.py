"""Runs of consecutive steps at or above a threshold, for many sequences and thresholds at once.

A line of an upsampled sequence is monotone, so its two ends tell whether it crosses a threshold.
Only at a crossing are values between the ends computed.

Letters: K thresholds, L lines, E edges, P runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.upsampling import UpsampledSequences


class Edges(NamedTuple):
    """Steps at which sequences cross thresholds, in order of threshold, sequence and step.

    They alternate: at the first edge a sequence reaches the threshold, at the second one it falls
    below it or ends, and so on.

    Attributes:
        threshold: (E,) index of the threshold.
        line: (E,) line that covers the step; the empty line at the end of a sequence.
        step: (E,) first step on the other side of the threshold.
        inside: (E,) whether the line has steps on both sides.
        starts_above: (K, L) whether the first step of each line is at or above the threshold.
    """

    threshold: NDArray[np.int64]
    line: NDArray[np.int64]
    step: NDArray[np.int64]
    inside: NDArray[np.bool_]
    starts_above: NDArray[np.bool_]


class Runs(NamedTuple):
    """P runs in order of threshold, sequence and step.

    Attributes:
        threshold: (P,) index of the threshold.
        sequence: (P,) number of the sequence.
        first, end: (P,) the run covers the steps from `first` to before `end`.
    """

    threshold: NDArray[np.int64]
    sequence: NDArray[np.int64]
    first: NDArray[np.int64]
    end: NDArray[np.int64]


def find_edges(upsampled: UpsampledSequences, thresholds: Sequence[float]) -> Edges:
    """Finds the steps at which the sequences cross each of K thresholds."""
    levels = np.asarray(thresholds, np.float64)
    lines = np.arange(len(upsampled.value))
    last = np.maximum(upsampled.end - 1, upsampled.first)
    ends = upsampled.values(lines[:, None], np.stack([upsampled.first, last], axis=1))  # (L, 2)
    ends[upsampled.offset[1:] - 1] = -np.inf  # the empty lines, so that no sequence runs on
    # All rows in one array, after an entry for what comes before the first sequence.
    flat = np.zeros(1 + len(levels) * ends.size, bool)
    above = flat[1:].reshape(len(levels), ends.size)
    np.greater_equal(ends.ravel(), levels[:, None], out=above)
    threshold, place = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), max(ends.size, 1))
    line, inside = place >> 1, (place & 1).astype(bool)
    step = upsampled.first[line]
    crossing = np.flatnonzero(inside)
    step[crossing] = _first_beyond(
        upsampled, line[crossing], levels[threshold[crossing]], rising=crossing % 2 == 0
    )
    return Edges(threshold, line, step, inside, above[:, ::2])


def find_runs(upsampled: UpsampledSequences, edges: Edges) -> Runs:
    """The runs of two or more steps between the edges."""
    first, end = edges.step[::2], edges.step[1::2]
    long = end - first > 1
    sequence = np.searchsorted(upsampled.offset, edges.line[::2][long], side="right") - 1
    return Runs(edges.threshold[::2][long], sequence, first[long], end[long])


def _first_beyond(
    upsampled: UpsampledSequences,
    line: NDArray[np.int64],
    level: NDArray[np.float64],
    rising: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The first step of each line that is not on the same side of its level as the step before.

    Args:
        upsampled: The sequences.
        line: (E,) lines whose first and last steps are on different sides of their levels.
        level: (E,) the levels.
        rising: (E,) whether a line ends at or above its level.
    """
    fraction = (level - upsampled.value[line]) / upsampled.rise[line]
    exact = upsampled.origin[line] + upsampled.factor * fraction
    nearest = np.where(rising, np.ceil(exact), np.floor(exact) + 1)
    step = np.clip(nearest, upsampled.first[line] + 1, upsampled.end[line] - 1).astype(np.int64)
    # Values are rounded, which decides where they equal the level: compare them, and move on.
    pending = np.arange(len(step))
    while len(pending):
        crossed, here = line[pending], step[pending]
        too_early = (upsampled.values(crossed, here) >= level[pending]) != rising[pending]
        too_late = (upsampled.values(crossed, here - 1) >= level[pending]) == rising[pending]
        step[pending] = here + too_early - too_late
        pending = pending[too_early | too_late]
    return step
