"""Which rows of a video are used.

Letters: B videos, T sampled rows. N is the number of rows of a video.
"""

import torch
from torch import Tensor


def uniform_rows(length: int, count: int) -> Tensor:
    """Evenly spaced rows, for testing.

    Args:
        length: N, rows of the video, at least 1.
        count: T, the most rows wanted.

    Returns:
        (min(N, T),) int64, ascending: all rows if N <= T, else rows floor(i N / T). The only row of
        a video of one row is doubled, (2,), as the released code does.
    """
    if length == 1:
        return torch.zeros(2, dtype=torch.int64)
    if length <= count:
        return torch.arange(length)
    return torch.arange(count) * length // count


def random_rows(lengths: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random rows in ascending order, for training; the spans are those of the released code.

    A video with N < T gives T draws with replacement, sorted. One with N > T gives one draw from
    each of T spans: row i from floor(i N / T) to floor((i + 1) N / T), both included, and the last
    from the draw before it to N - 1. With N = T all rows are taken.

    Args:
        lengths: (B,) int64, N of every video, at least 1.
        count: T.
        generator: on the CPU; advances by B x T draws whatever the lengths are.

    Returns:
        (B, T) int64.
    """
    length = lengths[:, None]
    uniform = torch.rand(len(lengths), count, generator=generator, dtype=torch.float64)
    with_replacement = _draw(uniform, 0, length).sort(dim=1).values

    step = torch.arange(count)
    first = step * length // count
    last = (step + 1) * length // count
    one_a_span = _draw(uniform, first, last + 1)
    if count > 1:
        one_a_span[:, -1:] = _draw(uniform[:, -1:], one_a_span[:, -2:-1], length)
    else:
        one_a_span = with_replacement
    spread = torch.where(length == count, step, one_a_span)
    return torch.where(length < count, with_replacement, spread)


def _draw(uniform: Tensor, low: Tensor | int, high: Tensor) -> Tensor:
    """Integers in [low, high) from uniform numbers in [0, 1)."""
    return low + (uniform * (high - low)).long()
