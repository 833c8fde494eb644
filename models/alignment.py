"""FSD and LCS: two differentiable dynamic programs that align a whole batch of pairs at once.

Both are the same recurrence with different steps. A cell (i, j) of the (L+1) x (M+1) table is
entered by one of three moves, each with a value of its own:

    S[i,j] = join(match[i,j]  + S[i-1,j-1],
                  insert[i,j] + S[i-1,j],
                  delete[i,j] + S[i,j-1])        S[0,:] = S[:,0] = 0

`join` is the logarithm of the sum of exponentials (FSD) or the maximum (FSD with gamma = 0, LCS).
The cells of an anti-diagonal do not depend on each other, so the table is filled in L+M-1 vector
operations. It lies in memory anti-diagonal by anti-diagonal with the batch innermost, so that each
of them reads and writes contiguous memory: with strided anti-diagonals it takes two to three times
as long at training sizes. In exchange the table is about twice as large (L+M times L cells).

The backward pass is closed form. The weight of a move is its share of the join (a softmax, or one
for the move taken); the gradient of the score flows back over the same anti-diagonals.

Letters: B pairs, L and M snippets of the two sequences, D channels.
"""

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Lengths: TypeAlias = tuple[Tensor, Tensor]  # (B,) rows and (B,) columns in use, 0 to L and 0 to M
Cell: TypeAlias = tuple[int | Tensor, ...]  # indexes a (L+1, M+1, B) table; gives (B,)

MATCH, INSERT, DELETE = 1, 2, 3  # codes of an alignment; 0 is a cell that the path does not touch
ZERO_NORM = 1e-8  # a shorter row has no direction


def fine_grained_sequence_distance(
    match: Tensor,
    gap_insert: Tensor,
    gap_delete: Tensor,
    gamma: float = 0.1,
    lengths: Lengths | None = None,
) -> Tensor:
    """Score of each pair over all its alignments, softly the best: the larger, the more alike.

        S[i,j] = match[i,j] + smax(S[i-1,j-1],
                                   gap_insert[i,j] + S[i-1,j],
                                   gap_delete[i,j] + S[i,j-1])        S[0,:] = S[:,0] = 0
        smax(a) = gamma * logsumexp(a / gamma), the plain maximum for gamma = 0

    Where arguments of the plain maximum are equal, the gradient follows the first in this order.

    Args:
        match: (B, L, M) similarity of snippet i of one sequence and j of the other; L, M >= 1.
        gap_insert: (B, L, M) value of the step from the row above.
        gap_delete: (B, L, M) value of the step from the column before; the released code uses
            one table for both gaps.
        gamma: temperature of the smooth maximum, >= 0.
        lengths: two (B,) integer tensors on the tables' device, the rows (0 to L) and columns
            (0 to M) that each padded pair really has; what lies outside has no influence and no
            gradient. None: all of them.

    Returns:
        (B,) scores S[rows, columns], in float32 or, for float64 tables, in float64.

    Raises:
        ValueError: shapes that do not fit together, or a negative gamma.

    Source: FTCL (CVPR 2022), fine-grained sequence distance; the released code has gamma = 0.1.
    """
    steps = _fsd_steps(match, gap_insert, gap_delete, gamma)
    score = _score(steps, gamma > 0, lengths)
    return score * gamma if gamma > 0 else score


def longest_common_subsequence(
    similarity: Tensor, threshold: float, lengths: Lengths | None = None
) -> Tensor:
    """Sum of the similarities along the longest common subsequence of each pair.

        R[i,j] = R[i-1,j-1] + similarity[i,j]    where similarity[i,j] > threshold
                 max(R[i-1,j], R[i,j-1])         elsewhere; a tie takes R[i-1,j]
        R[0,:] = R[:,0] = 0

    As in the released code a match always takes the diagonal, even if a neighbour is larger, so
    the score need not be that of the best alignment.

    Args:
        similarity: (B, L, M) similarity of snippet i of one sequence and j of the other.
        threshold: two snippets match above it, strictly.
        lengths: as in `fine_grained_sequence_distance`.

    Returns:
        (B,) scores R[rows, columns], in float32 or, for a float64 table, in float64.

    Raises:
        ValueError: a shape that does not fit.

    Source: FTCL (CVPR 2022), longest common subsequence; the released code has threshold 0.92.
    """
    return _score(_lcs_steps(similarity, threshold), False, lengths)


def fsd_path(
    match: Tensor,
    gap_insert: Tensor,
    gap_delete: Tensor,
    gamma: float = 0.1,
    lengths: Lengths | None = None,
) -> Tensor:
    """Path that follows the largest of the three arguments back from the last cell of each pair.

    Args: as in `fine_grained_sequence_distance`.

    Returns:
        (B, L, M) int8: `MATCH` in the cells that the path enters from the diagonal, `INSERT` from
        the row above, `DELETE` from the column before, 0 elsewhere. Ties take the first of these.
    """
    return _path(_fsd_steps(match, gap_insert, gap_delete, gamma), gamma > 0, lengths)


def lcs_path(similarity: Tensor, threshold: float, lengths: Lengths | None = None) -> Tensor:
    """Path of the longest common subsequence of each pair; it consists of the `MATCH` cells.

    Args: as in `longest_common_subsequence`.

    Returns:
        (B, L, M) int8, coded as in `fsd_path`. The similarities of the `MATCH` cells add up
        to the score.
    """
    return _path(_lcs_steps(similarity, threshold), False, lengths)


def cosine_table(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarity of every row of one sequence with every row of the other.

    A zero row (of a norm up to 1e-8) has similarity 0 with everything, and neither it nor its
    partner gets a gradient from that.

    Args:
        x: (B, L, D) rows of one sequence of each pair.
        y: (B, M, D) rows of the other.

    Returns:
        (B, L, M), in float32 (also under autocast) or, for float64 rows, in float64.

    Raises:
        ValueError: shapes that do not fit together.
    """
    if x.dim() != 3 or y.dim() != 3 or x.shape[::2] != y.shape[::2]:
        raise ValueError(
            f"rows have shapes {tuple(x.shape)} and {tuple(y.shape)}: "
            "wanted (B, L, D) and (B, M, D)"
        )
    x, y = _widened(x, y)
    with torch.autocast(x.device.type, enabled=False):
        # Products of float32 may run in tf32 on CUDA; one cell near the threshold of LCS decides.
        products = (x.double() @ y.double().mT).to(x.dtype)
    return products * _inverse_norm(x)[:, :, None] * _inverse_norm(y)[:, None, :]


def _inverse_norm(rows: Tensor) -> Tensor:
    """One over the norm of each row, and 0 (with a zero gradient) for a zero row."""
    norm = torch.linalg.vector_norm(rows, dim=-1)
    return torch.where(norm > ZERO_NORM, norm, torch.inf).reciprocal()


def _widened(*tensors: Tensor) -> list[Tensor]:
    """The tensors in their common type, float32 at least."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]


def _fsd_steps(match: Tensor, gap_insert: Tensor, gap_delete: Tensor, gamma: float) -> Tensor:
    """(3, L, M, B) values of the three moves, in units of gamma if there is one."""
    _check_table("match", match)
    for name, gap in (("gap_insert", gap_insert), ("gap_delete", gap_delete)):
        if gap.shape != match.shape:
            raise ValueError(
                f"{name} has shape {tuple(gap.shape)}, match has {tuple(match.shape)}: "
                "they must be equal"
            )
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}: it must be 0 or more")
    match, gap_insert, gap_delete = _widened(match, gap_insert, gap_delete)
    steps = torch.stack((match, match + gap_insert, match + gap_delete)).permute(0, 2, 3, 1)
    return steps / gamma if gamma > 0 else steps


def _lcs_steps(similarity: Tensor, threshold: float) -> Tensor:
    """(3, L, M, B) values of the three moves: a cell allows the match or the two others."""
    _check_table("similarity", similarity)
    (similarity,) = _widened(similarity)
    similarity = similarity.permute(1, 2, 0).contiguous()
    matches = similarity > threshold
    no_match = torch.where(matches, 0.0, -torch.inf).to(similarity)
    skip = torch.where(matches, -torch.inf, 0.0).to(similarity)
    return torch.stack((similarity + no_match, skip, skip))


def _check_table(name: str, table: Tensor) -> None:
    if table.dim() != 3:
        raise ValueError(f"{name} has shape {tuple(table.shape)}: wanted (B, L, M)")
    if 0 in table.shape[1:]:
        raise ValueError(f"{name} has shape {tuple(table.shape)}: L and M must be 1 or more")


def _within(steps: Tensor, lengths: Lengths | None) -> tuple[Tensor, Cell]:
    """The steps without what lies outside the lengths, and the cell that holds each score."""
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
    steps = steps.masked_fill(~(row & column), 0)  # so that even a NaN in the padding is harmless
    return steps, (lengths[0].long(), lengths[1].long(), torch.arange(pairs, device=steps.device))


def _score(steps: Tensor, smooth: bool, lengths: Lengths | None) -> Tensor:
    steps, end = _within(steps, lengths)
    return _Alignment.apply(steps, smooth, end)


def _path(steps: Tensor, smooth: bool, lengths: Lengths | None) -> Tensor:
    """(B, L, M) int8 codes: where a unit of gradient flows if each cell sends it one way only."""
    with torch.no_grad():
        steps, end = _within(steps, lengths)
        arguments, passed = _fill(steps, smooth)
        match, insert, delete = _flow(_one_hot(arguments), torch.ones_like(passed[end]), end)
        codes = (MATCH * match + INSERT * insert + DELETE * delete).to(torch.int8)
        return codes.permute(2, 0, 1).contiguous()


class _Alignment(torch.autograd.Function):
    """Score of the recurrence at one cell of each pair."""

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
    """Allocates tables of zeros that lie in memory anti-diagonal by anti-diagonal.

    Returns:
        storage: (*planes, L+M+3, L+2, B): cell (i, j) lies at [i+j+1, i]; the first and the last
            anti-diagonal and the last row are padding, so that every neighbour of a cell exists.
        cells: (*planes, L+1, M+1, B), the same memory seen as the table.
    """
    rows, columns, pairs = shape
    storage = like.new_zeros(*planes, rows + columns + 3, rows + 2, pairs)
    *plane, diagonal, row, pair = storage.stride()
    strides = (*plane, diagonal + row, diagonal, pair)
    return storage, storage.as_strided((*planes, rows + 1, columns + 1, pairs), strides, diagonal)


def _fill(steps: Tensor, smooth: bool) -> tuple[Tensor, Tensor]:
    """Fills the table.

    Kept for each cell is what it passes on: its score plus the value of each move out of it. A
    move that leaves the table, or the lengths in use, is worth 0. Whole anti-diagonals are
    computed, cells outside the table among them. Those left of column 0 hold -inf, so column 0
    stays zero: it is entered from above only, by a move worth 0. Those right of column M are never
    read from inside the table.

    Args:
        steps: (3, L, M, B) values of the moves.

    Returns:
        arguments: (3, L, M, B) the arguments of each cell's join.
        passed: (L+1, M+1, B) what each cell passes to its right: the score of a last cell.
    """
    _, rows, columns, pairs = steps.shape
    passed, cells = _skewed(steps, (3,), steps.shape[1:])
    arguments = cells[0, :-1, :-1], cells[1, :-1, 1:], cells[2, 1:, :-1]
    for argument, step in zip(arguments, steps, strict=True):
        argument.copy_(step)
    passed[:, 0] = -torch.inf
    passed[:, 1, 1:] = -torch.inf
    join = torch.logaddexp if smooth else torch.maximum
    # At training sizes the time is that of the calls: unbind is cheaper than indexing every time.
    match, insert = passed[0, :-2, :-2].unbind(), passed[1, 1:-1, :-2].unbind()
    delete, here = passed[2, 1:-1, 1:-1].unbind(), passed[:, 2:, 1:-1].unbind(1)
    score = steps.new_empty(rows, pairs)
    for n in range(rows + columns):
        join(match[n], insert[n], out=score)
        here[n].add_(join(score, delete[n], out=score))
    return torch.stack(arguments), cells[2]


def _flow(weights: Tensor, gradient: Tensor, end: Cell) -> Tensor:
    """Lets the gradient of the scores flow back through the table.

    Args:
        weights: (3, L, M, B) weight of each move into each cell.
        gradient: (B,) gradient of the scores.
        end: where it enters.

    Returns:
        (3, L, M, B) gradient of the steps.
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
    """(3, ...) bool, True at the largest argument of each cell, at the first of equal ones."""
    match, insert, delete = arguments
    matches = match >= torch.maximum(insert, delete)
    inserts = ~matches & (insert >= delete)
    return torch.stack((matches, inserts, ~(matches | inserts)))
