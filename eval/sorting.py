"""Sorting of large tables.

Letters: N rows.
"""

import numpy as np
from numpy.typing import NDArray


def stable_argsort(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) rows by ascending value; equal ones in the order of the table.

    The sort that is not stable takes a fourth of the time of the stable one (NumPy 2 with AVX2), so
    that only rows of equal value are then put in order.
    """
    order = np.argsort(value)
    ascending = value[order]
    equal = ascending[1:] == ascending[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    rows = order[tied]
    order[tied] = rows[np.lexsort((rows, ascending[tied]))]
    return order


def sort_by_group(order: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the ordered rows by group, those of a group in the order in which they were.

    Args:
        order: (N,) rows.
        group: (N,) group of each row of the table.
    """
    # NumPy sorts integers of at most 16 bits in linear time.
    above_lowest = group - group.min(initial=0)
    smallest = above_lowest.astype(np.min_scalar_type(above_lowest.max(initial=0)))
    return order[np.argsort(smallest[order], kind="stable")]
