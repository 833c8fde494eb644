"""The alignments written down cell by cell, as slow and as plain as possible.

Scalars of torch with autograd, one pair and one cell at a time; the truth for the fast forms in
`models/alignment.py` and, in `benchmarks/alignment.py`, what they are timed against.
"""

from typing import TypeAlias

import torch
from torch import Tensor

Tables: TypeAlias = tuple[Tensor, Tensor, Tensor]  # match, gap_insert, gap_delete: (B, L, M) each
Lengths: TypeAlias = tuple[Tensor, Tensor]  # rows and columns in use: (B,) each


def slow_fsd_table(
    match: Tensor, insert: Tensor, delete: Tensor, gamma: float
) -> list[list[Tensor]]:
    """Table of one pair from its (L, M) tables, as nested lists of L+1 times M+1 scalars."""
    rows, columns = match.shape
    table = _zeros(rows, columns, match)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            arguments = (
                table[i - 1][j - 1],
                insert[i - 1, j - 1] + table[i - 1][j],
                delete[i - 1, j - 1] + table[i][j - 1],
            )
            table[i][j] = match[i - 1, j - 1] + slow_smooth_max(arguments, gamma)
    return table


def slow_lcs_table(similarity: Tensor, threshold: float) -> list[list[Tensor]]:
    """Table of one pair from its (L, M) similarities, as nested lists of scalars."""
    rows, columns = similarity.shape
    table = _zeros(rows, columns, similarity)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            up, left = table[i - 1][j], table[i][j - 1]
            if similarity[i - 1, j - 1] > threshold:
                table[i][j] = table[i - 1][j - 1] + similarity[i - 1, j - 1]
            else:
                table[i][j] = left if left > up else up
    return table


def slow_smooth_max(arguments: tuple[Tensor, ...], gamma: float) -> Tensor:
    """Smooth maximum of scalars; for gamma = 0 the first of the largest."""
    if gamma > 0:
        return gamma * torch.logsumexp(torch.stack(arguments) / gamma, 0)
    largest = arguments[0]
    for argument in arguments[1:]:
        if argument > largest:
            largest = argument
    return largest


def slow_fsd(
    match: Tensor,
    insert: Tensor,
    delete: Tensor,
    gamma: float,
    lengths: Lengths | None = None,
) -> Tensor:
    """(B,) scores of (B, L, M) tables."""
    tables = [slow_fsd_table(*pair, gamma) for pair in zip(match, insert, delete, strict=True)]
    return _scores(tables, match, lengths)


def slow_lcs(similarity: Tensor, threshold: float, lengths: Lengths | None = None) -> Tensor:
    """(B,) scores of (B, L, M) similarities."""
    tables = [slow_lcs_table(pair, threshold) for pair in similarity]
    return _scores(tables, similarity, lengths)


def slow_cosine(x: Tensor, y: Tensor) -> Tensor:
    """(L, M) cosine similarities of the rows of (L, D) and (M, D); 0 for a zero row."""
    rows = [
        [
            row @ other / (row.norm() * other.norm())
            if row.any() and other.any()
            else row.new_zeros(())
            for other in y
        ]
        for row in x
    ]
    return torch.stack([torch.stack(row) for row in rows])


def _zeros(rows: int, columns: int, like: Tensor) -> list[list[Tensor]]:
    return [[like.new_zeros(()) for _ in range(columns + 1)] for _ in range(rows + 1)]


def _scores(tables: list[list[list[Tensor]]], like: Tensor, lengths: Lengths | None) -> Tensor:
    """The last cell in use of each table, connected to `like` even where it is the border."""
    pairs, rows, columns = like.shape
    ends = zip(*lengths, strict=True) if lengths else [(rows, columns)] * pairs
    scores = [table[int(i)][int(j)] for table, (i, j) in zip(tables, ends, strict=True)]
    return torch.stack(scores) + 0 * like.sum()


def weighted_gradients(score: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of sum_b (b+1) score[b]: another weight for each pair."""
    weights = torch.arange(1, len(score) + 1, dtype=score.dtype, device=score.device)
    return torch.autograd.grad((weights * score).sum(), inputs, materialize_grads=True)


def some_lengths(rows: int, columns: int, pairs: int = 3) -> Lengths:
    """Random lengths, 0 among them."""
    return torch.randint(0, rows + 1, (pairs,)), torch.randint(0, columns + 1, (pairs,))
