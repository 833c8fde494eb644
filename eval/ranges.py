"""Ranges of consecutive rows in a table that is sorted by group and time.

Letters: N rows, M queries, R ranges.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def search_groups(
    group: NDArray[np.int64],
    value: NDArray[np.float64],
    of_group: NDArray[np.int64],
    of_value: NDArray[np.float64],
    side: Literal["left", "right"],
) -> NDArray[np.int64]:
    """`np.searchsorted` in the group of each query, with some tolerance.

    Args:
        group: (N,) groups in ascending order.
        value: (N,) finite values; a row counts with the largest value of its group up to it.
        of_group: (M,) group of each query.
        of_value: (M,) its value, finite.
        side: "left" counts the rows below the value, "right" those up to it. A row whose value is
            equal but for rounding may be left out on the left and included on the right.

    Returns:
        (M,) place in the table where the query belongs.
    """
    # Values from -1 to 1 in groups that are 3 apart: one sorted array holds all groups.
    largest = max(np.abs(value).max(initial=0), np.abs(of_value).max(initial=0)) or 1.0
    keys = np.maximum.accumulate(3 * group + value / largest)
    wanted = 3 * of_group + of_value / largest
    tolerance = 4 * np.finfo(np.float64).eps * (np.abs(wanted).max(initial=0) + 3)
    return np.searchsorted(keys, wanted + (tolerance if side == "right" else -tolerance), side)


def expand_ranges(
    first: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists all rows of R ranges one after the other.

    Args:
        first: (R,) first row of each range.
        count: (R,) number of its rows.

    Returns:
        For each listed row, the number of its range and the row.
    """
    of_range = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return of_range, np.arange(len(of_range)) + (first - before)[of_range]


def blocks(count: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Consecutive rows whose counts add up to about `size`; at least one block, possibly empty."""
    number = np.cumsum(count) // size
    bounds = np.flatnonzero(np.diff(number)) + 1
    yield from np.split(np.arange(len(count)), bounds)
