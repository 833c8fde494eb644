"""Snippets of a stream of frames, batches, and the thread that decodes ahead."""

import threading
import time
from collections.abc import Iterator

import pytest

from extraction.ahead import ahead
from extraction.snippets import SnippetSettings, batches, snippets


def reference(frames: int, length: int, stride: int, pad: bool) -> list[list[int]]:
    """The frames of each snippet, by the definition."""
    found, start, covered = [], 0, 0
    while start < frames:
        indices = list(range(start, min(start + length, frames)))
        if len(indices) == length:
            found.append(indices)
        elif pad and indices[-1] >= covered:
            found.append(indices + indices[-1:] * (length - len(indices)))
        covered = indices[-1] + 1
        start += stride
    return found


@pytest.mark.parametrize("length", [1, 4, 5])
@pytest.mark.parametrize("stride", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("pad", [False, True])
def test_snippets_equal_the_definition(length: int, stride: int, pad: bool) -> None:
    settings = SnippetSettings(25.0, length, stride, pad)
    for frames in range(25):
        found = list(snippets(range(frames), settings))
        expected = reference(frames, length, stride, pad)
        assert found == expected, frames
        assert settings.number(frames) == len(expected), frames


def test_batches() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(batches([], 3)) == []


def test_items_arrive_in_order_and_are_produced_in_advance_up_to_the_limit() -> None:
    produced: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            produced.append(number)
            yield number

    items = ahead(source(), 3)
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(produced) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(produced) == 5  # the first, three that wait, and one that waits for room
    assert list(items) == list(range(1, 20))


def test_an_error_of_the_producer_is_raised_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("from the producer")

    items = ahead(source(), 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="from the producer"):
        next(items)


def test_a_consumer_that_stops_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(source(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before
