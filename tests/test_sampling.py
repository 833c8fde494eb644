"""Sampling of snippets: the rule of the official implementation, without its loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dataset.sampling import random_rows, uniform_rows


def parse(key: str) -> tuple[int, int]:
    length, count = key.split("/T")[1].split("_seed")[0].split("_L")
    return int(length), int(count)


def draw(length: int, count: int, times: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return random_rows(torch.full((times,), length), count, generator)


def test_uniform_rows_equal_those_of_the_official_implementation(golden: Path) -> None:
    values = np.load(golden / "sampling.npz")
    keys = [key for key in values.files if key.startswith("uniform/")]
    assert keys
    for key in keys:
        np.testing.assert_array_equal(uniform_rows(*parse(key)).numpy(), values[key], err_msg=key)


def test_official_random_rows_lie_in_our_spans(golden: Path) -> None:
    values = np.load(golden / "sampling.npz")
    for key in (key for key in values.files if key.startswith("random/")):
        length, count = parse(key)
        ours = draw(length, count, 4000)
        if length > count:
            # Every span is short enough that 4000 draws reach both of its ends.
            low, high = ours.min(dim=0).values[:-1], ours.max(dim=0).values[:-1]
            official = torch.from_numpy(values[key])
            assert ((official[:-1] >= low) & (official[:-1] <= high)).all(), key
            assert official[-2] <= official[-1] < length, key


@pytest.mark.parametrize(("length", "count"), [(51, 50), (100, 50), (123, 50), (777, 50), (5, 1)])
def test_one_row_is_drawn_from_each_span(length: int, count: int) -> None:
    rows = draw(length, count, 20000)
    for i in range(count - 1):
        span = torch.arange(i * length // count, (i + 1) * length // count + 1)
        values, counts = rows[:, i].unique(return_counts=True)
        torch.testing.assert_close(values, span)
        expected = len(rows) / len(span)
        assert ((counts - expected).abs() < 6 * expected**0.5).all()
    if count > 1:
        # The last span begins at the index before it and ends with the video.
        assert (rows[:, -1] >= rows[:, -2]).all()
        assert (rows[:, -1] < length).all()
        assert rows[:, -1].max() == length - 1


def test_short_videos_are_drawn_with_replacement_and_sorted() -> None:
    rows = draw(7, 50, 5000)
    assert (rows.diff(dim=1) >= 0).all()
    counts = rows.flatten().bincount()
    assert len(counts) == 7
    expected = rows.numel() / 7
    assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_a_video_with_exactly_the_wanted_length_is_used_whole() -> None:
    assert (draw(50, 50, 3) == torch.arange(50)).all()


def test_videos_of_all_lengths_are_drawn_together_from_one_generator() -> None:
    lengths = torch.tensor([1, 2, 49, 50, 51, 1000])
    first = random_rows(lengths, 50, torch.Generator().manual_seed(3))
    again = random_rows(lengths, 50, torch.Generator().manual_seed(3))
    other = random_rows(lengths, 50, torch.Generator().manual_seed(4))
    assert first.equal(again)
    assert not first.equal(other)
    assert (first.diff(dim=1) >= 0).all()
    assert (first >= 0).all()
    assert (first < lengths[:, None]).all()
