"""Rows of groups in sorted tables and sorts by group equal plain loops over the groups."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.ranges import blocks, expand_ranges, search_groups
from eval.sorting import sort_by_group, stable_argsort

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def slow_search(
    group: NDArray[Any], value: NDArray[Any], of_group: int, of_value: float, side: str
) -> int:
    """The place of one query, row by row."""
    place = int((group < of_group).sum())
    largest = -np.inf
    for row in np.flatnonzero(group == of_group):
        largest = max(largest, value[row])
        place += largest < of_value or (side == "right" and largest == of_value)
    return place


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(30))
def test_places_are_those_of_the_loop(seed: int, side: Literal["left", "right"]) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = rng.integers(0, 40, 2)
    group = np.sort(rng.integers(0, 6, rows)) + 100_000 * (seed % 3)
    value = rng.integers(-9, 10, rows) * 0.37  # not sorted, with equal ones
    of_group = rng.integers(0, 7, queries) + 100_000 * (seed % 3)
    of_value = rng.integers(-9, 10, queries) * 0.37
    found = search_groups(group, value, of_group, of_value, side)
    # What equals a query may be counted on the right and left out on the left; here it is.
    wanted = [
        slow_search(group, value, g, v, side)
        for g, v in zip(of_group.tolist(), of_value.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("absurd", [1e308, -1e308, 1.7e308, 5e-324])
@pytest.mark.filterwarnings("error")
def test_no_row_is_lost_to_an_absurd_value(absurd: float) -> None:
    group, value = np.array([0, 1, 1, 2]), np.array([absurd, 3.0, 5.0, absurd])
    of_group, of_value = np.array([0, 1, 1, 2]), np.array([2.0, 4.0, 5.0, 9.0])
    first = search_groups(group, value, of_group, of_value, "left")
    end = search_groups(group, value, of_group, of_value, "right")
    for query, (number, limit) in enumerate(zip(of_group, of_value, strict=True)):
        assert first[query] <= slow_search(group, value, number, limit, "left")
        assert end[query] >= slow_search(group, value, number, limit, "right")


def test_nothing_is_searched_in_nothing() -> None:
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    for side in SIDES:
        assert len(search_groups(none, empty, none, empty, side)) == 0
        assert search_groups(none, empty, np.array([3]), np.array([1.0]), side).tolist() == [0]


def test_ranges_are_listed_one_after_the_other() -> None:
    of_range, row = expand_ranges(np.array([7, 3, 0]), np.array([2, 0, 3]))
    assert of_range.tolist() == [0, 0, 2, 2, 2]
    assert row.tolist() == [7, 8, 0, 1, 2]


def test_blocks_cover_all_rows_once() -> None:
    count = np.random.default_rng(0).integers(0, 50, 300)
    found = list(blocks(count, 100))
    assert np.concatenate(found).tolist() == list(range(300))
    assert len(found) > 10
    assert max(count[rows].sum() for rows in found) < 150


@pytest.mark.parametrize("seed", range(20))
def test_sorts_are_those_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(0, 3000))
    value = rng.integers(0, max(rows // 4, 1), rows) / 7
    order = stable_argsort(value)
    np.testing.assert_array_equal(order, np.argsort(value, kind="stable"))
    group = rng.integers(-3, 1 + 10 ** (seed % 7), rows)
    np.testing.assert_array_equal(sort_by_group(order, group), np.lexsort((value, group)))
