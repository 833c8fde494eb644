"""Sampling of snippets: evenly spaced for testing, random for training.

Letters: B videos, N snippets of a video, T sampled snippets.
"""

import torch
from torch import Tensor


def uniform_rows(length: int, num_snippets: int) -> Tensor:
    """Indices of evenly spaced snippets, for testing.

    Args:
        length: N, at least 1.
        num_snippets: T, the maximum number of snippets.

    Returns:
        (min(N, T),) int64, ascending: all indices if N <= T, else floor(i N / T) for i < T. The
        snippet of a video with a single one is repeated, (2,), as in the official implementation.
    """
    if length == 1:
        return torch.zeros(2, dtype=torch.int64)
    if length <= num_snippets:
        return torch.arange(length)
    return torch.arange(num_snippets) * length // num_snippets


def random_rows(lengths: Tensor, num_snippets: int, generator: torch.Generator) -> Tensor:
    """Indices of random snippets in ascending order, for training.

    The spans are those of the official implementation. If N < T, the indices are T draws with
    replacement, sorted. If N > T, one index is drawn from each of T spans: index i from
    floor(i N / T) to floor((i + 1) N / T), both inclusive, and the last one from the index before
    it to N - 1. If N = T, all snippets are used.

    Args:
        lengths: (B,) int64, N of every video, at least 1.
        num_snippets: T.
        generator: Random number generator on the CPU; advances by B x T draws for any lengths.

    Returns:
        (B, T) int64.
    """
    length = lengths[:, None]
    uniform = torch.rand(len(lengths), num_snippets, generator=generator, dtype=torch.float64)
    with_replacement = _draw(uniform, 0, length).sort(dim=1).values

    step = torch.arange(num_snippets)
    first = step * length // num_snippets
    last = (step + 1) * length // num_snippets
    one_per_span = _draw(uniform, first, last + 1)
    if num_snippets > 1:
        one_per_span[:, -1:] = _draw(uniform[:, -1:], one_per_span[:, -2:-1], length)
    else:
        one_per_span = with_replacement
    spread = torch.where(length == num_snippets, step, one_per_span)
    return torch.where(length < num_snippets, with_replacement, spread)


def _draw(uniform: Tensor, low: Tensor | int, high: Tensor) -> Tensor:
    """Integers in [low, high) from uniform numbers in [0, 1)."""
    return low + (uniform * (high - low)).long()
