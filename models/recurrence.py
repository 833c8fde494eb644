"""The dynamic program behind FSD and LCS, batched and with a closed-form backward pass.

A cell (i, j) of the (L+1) x (M+1) table is entered by one of three moves, each with its own value:

    S[i,j] = join(match[i,j]  + S[i-1,j-1],
                  insert[i,j] + S[i-1,j],
                  delete[i,j] + S[i,j-1])        S[0,:] = S[:,0] = 0

`join` is the logarithm of the sum of exponentials (FSD) or the maximum (FSD with gamma = 0, LCS).
The cells of an anti-diagonal do not depend on each other, so the table is filled in L+M-1 vector
operations. It is stored anti-diagonal by anti-diagonal with the batch innermost, so that each
operation reads and writes contiguous memory: with strided anti-diagonals it takes two to three
times as long at training sizes. In exchange the table is about twice as large (L+M times L cells).

The weight of a move in the backward pass is its share of the join (a softmax, or one for the move
taken); the gradient of the score flows back over the same anti-diagonals.

Letters: B pairs, L and M snippets of the two sequences.
"""

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Lengths: TypeAlias = tuple[Tensor, Tensor]  # (B,) rows and (B,) columns in use, 0 to L and 0 to M
Cell: TypeAlias = tuple[int | Tensor, ...]  # indexes a (L+1, M+1, B) table; gives (B,)

MATCH, INSERT, DELETE = 1, 2, 3  # codes of a path; 0 is a cell that the path does not touch


def score(steps: Tensor, smooth: bool, lengths: Lengths | None) -> Tensor:
    """(B,) scores of the recurrence.

    Args:
        steps: (3, L, M, B) values of the moves match, insert and delete into each cell.
        smooth: Whether the join is the logarithm of the sum of exponentials or the maximum.
        lengths: Rows and columns that each padded pair really has; None: all of them.

    Raises:
        ValueError: If the lengths do not have the shape (B,) or are not integers.
    """
    steps, end = _within(steps, lengths)
    return AlignmentScore.apply(steps, smooth, end)


def path(steps: Tensor, smooth: bool, lengths: Lengths | None) -> Tensor:
    """(B, L, M) int8, codes of the moves along the best path; arguments as for `score`.

    It is found by backpropagating a unit gradient through the arg max of each cell.
    """
    with torch.no_grad():
        steps, end = _within(steps, lengths)
        arguments, passed = _fill(steps, smooth)
        match, insert, delete = _flow(_one_hot(arguments), torch.ones_like(passed[end]), end)
        codes = (MATCH * match + INSERT * insert + DELETE * delete).to(torch.int8)
        return codes.permute(2, 0, 1).contiguous()


def _within(steps: Tensor, lengths: Lengths | None) -> tuple[Tensor, Cell]:
    """Zeroes the steps outside the lengths; also returns the cell that holds each score."""
    _, rows, columns, pairs = steps.shape
    if lengths is None:
        return steps, (rows, columns)
    for name, length in zip(("row", "column"), lengths, strict=True):
        if length.shape != (pairs,) or length.is_floating_point():
            raise ValueError(
                f"{name} lengths have shape {tuple(length.shape)} and type {length.dtype}: "
                f"wanted ({pairs},) integers"
            )
    row = torch.arange(rows, device=steps.device)[:, None, None] < lengths[0]
    column = torch.arange(columns, device=steps.device)[:, None] < lengths[1]
    steps = steps.masked_fill(~(row & column), 0)  # even a NaN in the padding is harmless
    return steps, (lengths[0].long(), lengths[1].long(), torch.arange(pairs, device=steps.device))


class AlignmentScore(torch.autograd.Function):
    """Score of the recurrence at the last cell of each pair."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, smooth: bool, end: Cell) -> Tensor:
        arguments, passed = _fill(steps, smooth)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(arguments.softmax(0) if smooth else _one_hot(arguments))
            ctx.end = end
        return passed[end].clone()  # a view would keep the whole table alive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        return _flow(weights, gradient, ctx.end), None, None


def _skewed(like: Tensor, planes: tuple[int, ...], shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Allocates tables of zeros that are stored anti-diagonal by anti-diagonal.

    Returns:
        storage: (*planes, L+M+3, L+2, B): cell (i, j) lies at [i+j+1, i]; the first and the last
            anti-diagonal and the last row are padding, so that every neighbour of a cell exists.
        cells: (*planes, L+1, M+1, B), the same memory viewed as the table.
    """
    rows, columns, pairs = shape
    storage = like.new_zeros(*planes, rows + columns + 3, rows + 2, pairs)
    *plane, diagonal, row, pair = storage.stride()
    strides = (*plane, diagonal + row, diagonal, pair)
    return storage, storage.as_strided((*planes, rows + 1, columns + 1, pairs), strides, diagonal)


def _fill(steps: Tensor, smooth: bool) -> tuple[Tensor, Tensor]:
    """Fills the table.

    Each cell keeps what it passes on: its score plus the value of each move out of it. A move that
    leaves the table, or the lengths in use, has the value 0. Whole anti-diagonals are computed,
    including cells outside the table. Those left of column 0 hold -inf, so that column 0 stays
    zero: it is entered from above only, by a move of value 0. Those right of column M are never
    read from inside the table.

    Args:
        steps: (3, L, M, B) values of the moves.

    Returns:
        arguments: (3, L, M, B), arguments of the join of each cell.
        passed: (L+1, M+1, B), what each cell passes to its right: for a last cell, the score.
    """
    _, rows, columns, pairs = steps.shape
    passed, cells = _skewed(steps, (3,), steps.shape[1:])
    arguments = cells[0, :-1, :-1], cells[1, :-1, 1:], cells[2, 1:, :-1]
    for argument, step in zip(arguments, steps, strict=True):
        argument.copy_(step)
    passed[:, 0] = -torch.inf
    passed[:, 1, 1:] = -torch.inf
    join = torch.logaddexp if smooth else torch.maximum
    # At training sizes, call overhead dominates: unbind is cheaper than indexing every time.
    match, insert = passed[0, :-2, :-2].unbind(), passed[1, 1:-1, :-2].unbind()
    delete, here = passed[2, 1:-1, 1:-1].unbind(), passed[:, 2:, 1:-1].unbind(1)
    joined = steps.new_empty(rows, pairs)
    for n in range(rows + columns):
        join(match[n], insert[n], out=joined)
        here[n].add_(join(joined, delete[n], out=joined))
    return torch.stack(arguments), cells[2]


def _flow(weights: Tensor, gradient: Tensor, end: Cell) -> Tensor:
    """Propagates the gradient of the scores back through the table.

    Args:
        weights: (3, L, M, B) weight of each move into each cell.
        gradient: (B,) gradient of the scores.
        end: Cell in which it enters.

    Returns:
        (3, L, M, B), gradient of the steps.
    """
    rows, columns = weights.shape[1:3]
    weights = weights.to(gradient.dtype)
    padded, padded_cells = _skewed(gradient, (3,), weights.shape[1:])
    flow, flow_cells = _skewed(gradient, (), weights.shape[1:])
    padded_cells[:, 1:, 1:] = weights
    flow_cells[end] = gradient
    match, insert = (plane.unbind() for plane in padded[:2, :, 2:])
    delete = padded[2, :, 1:-1].unbind()
    below, here = flow[:, 2:].unbind(), flow[:, 1:-1].unbind()
    for n in range(rows + columns, 2, -1):
        here[n].addcmul_(match[n + 2], below[n + 2])
        here[n].addcmul_(insert[n + 1], below[n + 1])
        here[n].addcmul_(delete[n + 1], here[n + 1])
    return weights * flow_cells[1:, 1:]


def _one_hot(arguments: Tensor) -> Tensor:
    """(3, ...) bool, True at the largest argument of each cell; of equal ones at the first."""
    match, insert, delete = arguments
    matches = match >= torch.maximum(insert, delete)
    inserts = ~matches & (insert >= delete)
    return torch.stack((matches, inserts, ~(matches | inserts)))
