"""Sums of upsampled sequences over many intervals, line by line.

Letters: L lines, K thresholds, B borders, P groups of intervals.
"""

import numpy as np
from numpy.typing import NDArray

from eval.runs import Edges
from eval.upsampling import UpsampledSequences


class IntervalSums:
    """Sums of sequences over intervals, in which values below a threshold may count as 0.

    A line is monotone, so that it is at or above a threshold as a whole, nowhere, or in a part at
    one of its ends. The tables of these parts have one row per threshold and a last one of the
    whole lines.

    Args:
        upsampled: The sequences.
        edges: Where they cross K thresholds.
    """

    def __init__(self, upsampled: UpsampledSequences, edges: Edges) -> None:
        self.upsampled = upsampled
        self.lines = len(upsampled.value)
        # The sum over the steps of a line from f to before e is its value in their middle times
        # e - f. That is `value + slope * (f + e - offset)`.
        self.slope = upsampled.rise / (2 * upsampled.factor)
        self.offset = 2 * upsampled.origin + 1
        rows = len(edges.starts_above) + 1
        self.first = np.tile(upsampled.first, rows)
        self.end = np.tile(upsampled.end, rows)
        whole = self._sums(np.arange(self.lines), upsampled.first, upsampled.end)
        self.totals = np.append(np.tile(whole, rows), 0.0)  # with one behind the last line
        self._leave_out_below(edges)

    def _leave_out_below(self, edges: Edges) -> None:
        """Shortens the lines in the rows of the thresholds to what is at or above them."""
        below = np.flatnonzero(~edges.starts_above.ravel())
        self.end[below] = self.first[below]
        self.totals[below] = 0
        cut = np.flatnonzero(edges.inside)
        line, step = edges.line[cut], edges.step[cut]
        rising = cut % 2 == 0
        first = np.where(rising, step, self.upsampled.first[line])
        end = np.where(rising, self.upsampled.end[line], step)
        place = edges.threshold[cut] * self.lines + line
        self.first[place], self.end[place] = first, end
        self.totals[place] = self._sums(line, first, end)

    def _sums(
        self, line: NDArray[np.int64], first: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Sums over the steps of lines from `first` to before `end`."""
        middle = self.upsampled.value[line] + self.slope[line] * (first + end - self.offset[line])
        return (end - first) * middle

    def __call__(
        self, row: NDArray[np.int64], sequence: NDArray[np.int64], borders: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Sums over neighbouring intervals.

        Args:
            row: (P,) index k of a threshold: values below it count as 0; K for all values.
            sequence: (P,) number of the sequence.
            borders: (B, P) steps in ascending order. Interval b covers the steps from border b to
                before border b + 1.

        Returns:
            (B - 1, P) sums.
        """
        line = self.upsampled.line_at(sequence, borders)
        place = line + row * self.lines
        first, end = self.first[place], self.end[place]
        value, slope, offset = self.upsampled.value[line], self.slope[line], self.offset[line]
        sums = self._whole(place[:-1] + 1, place[1:])
        # The parts of the line of the left border, and of that of the right one if it is another.
        for side, counts in ((slice(None, -1), True), (slice(1, None), line[:-1] != line[1:])):
            since = np.maximum(first[side], borders[:-1])
            until = np.minimum(end[side], borders[1:])
            middle = value[side] + slope[side] * (since + until - offset[side])
            sums += np.maximum(until - since, 0) * counts * middle
        return sums

    def _whole(self, first: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sums of all lines from the `first` to before the `end` one, by their places."""
        sums = np.zeros(first.shape)
        several = np.flatnonzero(first < end)
        # Each interval is summed by itself: differences of prefix sums lose digits where a short
        # run lies late in a long video. reduceat also sums from the end of one interval to the
        # start of the next unless the start comes first, so it goes from the last to the first.
        pairs = np.stack([first.ravel()[several], end.ravel()[several]], 1)[::-1]
        if len(several):
            sums.ravel()[several] = np.add.reduceat(self.totals, pairs.ravel())[::2][::-1]
        return sums
