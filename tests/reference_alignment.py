"""Reference implementation of FSD and LCS: one pair and one cell at a time, scalars with autograd.

Slow and as plain as possible. The tests check `models/alignment.py` against it, and
`benchmarks/alignment.py` compares their speed.

Letters: B pairs, L and M snippets of the two sequences, D channels.
"""

from typing import TypeAlias

import torch
from torch import Tensor

Tables: TypeAlias = tuple[Tensor, Tensor, Tensor]  # match, gap_insert, gap_delete: (B, L, M) each
Lengths: TypeAlias = tuple[Tensor, Tensor]  # snippets in use of each sequence: (B,) each


def slow_fsd_table(
    match: Tensor, insert: Tensor, delete: Tensor, gamma: float
) -> list[list[Tensor]]:
    """FSD table of one pair from (L, M) step tables: nested lists of (L+1) x (M+1) scalars."""
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
    """LCS table of one pair from (L, M) similarities: nested lists of (L+1) x (M+1) scalars."""
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
    """Smooth maximum of scalars; for gamma = 0 the first of the equal largest arguments."""
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
    """FSD scores (B,) of (B, L, M) step tables."""
    tables = [slow_fsd_table(*pair, gamma) for pair in zip(match, insert, delete, strict=True)]
    return _scores(tables, match, lengths)


def slow_lcs(similarity: Tensor, threshold: float, lengths: Lengths | None = None) -> Tensor:
    """LCS scores (B,) of (B, L, M) similarities."""
    tables = [slow_lcs_table(pair, threshold) for pair in similarity]
    return _scores(tables, similarity, lengths)


def slow_cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarities (L, M) of snippets (L, D) and (M, D); 0 where one of them is zero."""
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
    """Scores (B,): the last cell in use of each table, connected to `like` even on the border."""
    pairs, rows, columns = like.shape
    ends = zip(*lengths, strict=True) if lengths else [(rows, columns)] * pairs
    scores = [table[int(i)][int(j)] for table, (i, j) in zip(tables, ends, strict=True)]
    return torch.stack(scores) + 0 * like.sum()


def weighted_gradients(score: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of sum_b (b+1) score[b], which weights every pair differently."""
    weights = torch.arange(1, len(score) + 1, dtype=score.dtype, device=score.device)
    return torch.autograd.grad((weights * score).sum(), inputs, materialize_grads=True)


def some_lengths(rows: int, columns: int, pairs: int = 3) -> Lengths:
    """Random lengths of each sequence, from 0 to all snippets."""
    return torch.randint(0, rows + 1, (pairs,)), torch.randint(0, columns + 1, (pairs,))
