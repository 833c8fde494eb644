"""Sequences upsampled linearly over time, kept as straight lines instead of one value per step.

Letters: Q sequences, T snippets of a sequence, F steps per snippet, L lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class UpsampledSequences:
    """Q sequences of T * F steps each; step F * t of a sequence is its snippet t.

    The lines of all sequences are numbered through. A sequence of T snippets has T - 1 lines (a
    single snippet has a constant one) and, after them, an empty line at its end.

    Attributes:
        factor: F.
        offset: (Q + 1,) number of the first line of each sequence; the last entry is L.
        steps: (Q,) number of steps of each sequence.
        value: (L,) value of each line at its snippet.
        rise: (L,) change of the line from its snippet to the next.
        origin: (L,) step of its snippet, in the sequence.
        first, end: (L,) the line covers the steps from `first` to before `end`.
    """

    factor: int
    offset: NDArray[np.int64]
    steps: NDArray[np.int64]
    value: NDArray[np.float64]
    rise: NDArray[np.float64]
    origin: NDArray[np.int64]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    def values(self, line: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.float64]:
        """The upsampled values at steps of lines.

        They are monotone along a line even though they are rounded, as every operation here is.
        """
        return self.value[line] + self.rise[line] * ((step - self.origin[line]) / self.factor)

    def line_at(self, sequence: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        """The line that covers a step of a sequence; the empty line for the end of the sequence."""
        empty = self.offset[sequence + 1] - 1
        line = self.offset[sequence] + np.maximum(step - 1, 0) // self.factor
        return np.where(step < self.steps[sequence], np.minimum(line, empty - 1), empty)


def upsample(sequences: Sequence[NDArray[np.floating]], factor: int) -> UpsampledSequences:
    """Interpolates sequences linearly over time; the last F - 1 steps continue the last line.

    Args:
        sequences: Q arrays (T,) of scores of the snippets, each of its own length T >= 1.
        factor: F, steps per snippet.
    """
    snippets = np.array([len(values) for values in sequences], np.int64)
    empty = np.zeros(1)
    knots = [values if len(values) > 1 else np.repeat(values, 2) for values in sequences]
    # As in the official implementation, whose values we reproduce, the difference is rounded to the
    # precision of the scores, and a snippet ends the line before it instead of starting the next.
    rise = [part for values in knots for part in (values[1:] - values[:-1], empty)]
    value = [part for values in knots for part in (values[:-1], empty)]
    offset = np.concatenate([[0], np.cumsum(np.maximum(snippets - 1, 1) + 1)])
    origin = np.arange(offset[-1]) - np.repeat(offset[:-1], np.diff(offset))
    origin *= factor
    first, end = origin + 1, origin + factor + 1
    first[offset[:-1]] = 0
    origin[offset[1:] - 1] = first[offset[1:] - 1] = snippets * factor
    end[offset[1:] - 1] = end[offset[1:] - 2] = snippets * factor
    return UpsampledSequences(
        factor,
        offset,
        snippets * factor,
        np.concatenate([empty[:0], *value]),
        np.concatenate([empty[:0], *rise]),
        origin,
        first,
        end,
    )
