"""FSD and LCS: two differentiable alignments of a whole batch of pairs of snippet sequences.

Both are the same recurrence (`models.recurrence`) with different values of its three moves. Their
paths, `fsd_path` and `lcs_path`, are used by tests and notebooks, not by the training.

Letters: B pairs, L and M snippets of the two sequences, D channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models import recurrence
from models.recurrence import Lengths

ZERO_NORM = 1e-8  # vectors with a smaller norm are treated as zero


class Moves(NamedTuple):
    """One tensor for each move of the FSD alignment: projected channels, or tables of values.

    Attributes:
        match: Both sequences advance.
        insert: From the row above.
        delete: From the column before; the same object as `insert` if they are not distinguished.
    """

    match: Tensor
    insert: Tensor
    delete: Tensor


def fine_grained_sequence_distance(
    match: Tensor,
    gap_insert: Tensor,
    gap_delete: Tensor,
    gamma: float = 0.1,
    lengths: Lengths | None = None,
) -> Tensor:
    """Soft maximum of the alignment score over all alignments of each pair.

    A larger score means more similar sequences.

        S[i,j] = match[i,j] + smax(S[i-1,j-1],
                                   gap_insert[i,j] + S[i-1,j],
                                   gap_delete[i,j] + S[i,j-1])        S[0,:] = S[:,0] = 0
        smax(a) = gamma * logsumexp(a / gamma), the plain maximum for gamma = 0

    Where arguments of the plain maximum are equal, the gradient follows the first in this order.

    Args:
        match: (B, L, M) similarity of snippet i of one sequence and j of the other; L, M >= 1.
        gap_insert: (B, L, M) value of the step from the row above.
        gap_delete: (B, L, M) value of the step from the column before; the official implementation
            uses one table for both gaps, and passing the same tensor twice avoids computing it
            twice.
        gamma: Temperature of the smooth maximum, >= 0.
        lengths: Two (B,) integer tensors on the device of the tables: the rows (0 to L) and
            columns (0 to M) that each padded pair really has. Cells outside have no influence and
            no gradient. None: all of them.

    Returns:
        (B,) scores S[rows, columns], in float32 or, for float64 tables, in float64.

    Raises:
        ValueError: If the shapes do not fit together, or gamma is negative.

    Source: FTCL (CVPR 2022), fine-grained sequence distance; gamma = 0.1 in the official
        implementation.
    """
    steps = _fsd_steps(match, gap_insert, gap_delete, gamma)
    score = recurrence.score(steps, gamma > 0, lengths)
    return score * gamma if gamma > 0 else score


def longest_common_subsequence(
    similarity: Tensor, threshold: float, lengths: Lengths | None = None
) -> Tensor:
    """Sum of the similarities along the longest common subsequence of each pair.

        R[i,j] = R[i-1,j-1] + similarity[i,j]    where similarity[i,j] > threshold
                 max(R[i-1,j], R[i,j-1])         elsewhere; a tie takes R[i-1,j]
        R[0,:] = R[:,0] = 0

    As in the official implementation a match always takes the diagonal, even if a neighbour is
    larger, so the score is not always that of the best alignment.

    Args:
        similarity: (B, L, M) similarity of snippet i of one sequence and j of the other.
        threshold: Two snippets match above it, strictly.
        lengths: As in `fine_grained_sequence_distance`.

    Returns:
        (B,) scores R[rows, columns], in float32 or, for a float64 table, in float64.

    Raises:
        ValueError: If the shape does not fit.

    Source: FTCL (CVPR 2022), longest common subsequence; threshold 0.92 in the official
        implementation.
    """
    return recurrence.score(_lcs_steps(similarity, threshold), False, lengths)


def fsd_path(
    match: Tensor,
    gap_insert: Tensor,
    gap_delete: Tensor,
    gamma: float = 0.1,
    lengths: Lengths | None = None,
) -> Tensor:
    """Path that follows the largest of the three arguments back from the last cell of each pair.

    Args: As in `fine_grained_sequence_distance`.

    Returns:
        (B, L, M) int8: `recurrence.MATCH` in the cells that the path enters from the diagonal,
        `INSERT` from the row above, `DELETE` from the column before, 0 elsewhere. Ties take the
        first of these.
    """
    return recurrence.path(_fsd_steps(match, gap_insert, gap_delete, gamma), gamma > 0, lengths)


def lcs_path(similarity: Tensor, threshold: float, lengths: Lengths | None = None) -> Tensor:
    """Path of the longest common subsequence of each pair, which consists of its `MATCH` cells.

    Args: As in `longest_common_subsequence`.

    Returns:
        (B, L, M) int8, coded as in `fsd_path`. The similarities of the `MATCH` cells add up
        to the score.
    """
    return recurrence.path(_lcs_steps(similarity, threshold), False, lengths)


def cosine_table(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarity of every snippet of one sequence with every snippet of the other.

    A zero vector (of a norm up to 1e-8) has similarity 0 with everything, and neither it nor its
    partner gets a gradient from that.

    Args:
        x: (B, L, D), one sequence of each pair.
        y: (B, M, D), the other.

    Returns:
        (B, L, M), in float32 (also under autocast) or, for float64 input, in float64.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    if x.dim() != 3 or y.dim() != 3 or x.shape[::2] != y.shape[::2]:
        raise ValueError(
            f"sequences have shapes {tuple(x.shape)} and {tuple(y.shape)}: "
            "wanted (B, L, D) and (B, M, D)"
        )
    x, y = _widened(x, y)
    with torch.autocast(x.device.type, enabled=False):
        # float32 products may run in tf32 on CUDA, which could flip a cell at the LCS threshold.
        products = (x.double() @ y.double().mT).to(x.dtype)
    return products * _inverse_norm(x)[:, :, None] * _inverse_norm(y)[:, None, :]


def _inverse_norm(rows: Tensor) -> Tensor:
    """One over the norm of each vector, and 0 (with a zero gradient) for a zero vector."""
    norm = torch.linalg.vector_norm(rows, dim=-1)
    return torch.where(norm > ZERO_NORM, norm, torch.inf).reciprocal()


def _widened(*tensors: Tensor) -> list[Tensor]:
    """The tensors in their common type, at least float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]


def _fsd_steps(match: Tensor, gap_insert: Tensor, gap_delete: Tensor, gamma: float) -> Tensor:
    """(3, L, M, B) values of the three moves, divided by gamma if it is not 0."""
    _check_table("match", match)
    for name, gap in (("gap_insert", gap_insert), ("gap_delete", gap_delete)):
        if gap.shape != match.shape:
            raise ValueError(
                f"{name} has shape {tuple(gap.shape)}, match has {tuple(match.shape)}: "
                "they must be equal"
            )
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}: it must be 0 or more")
    shared = gap_delete is gap_insert
    match, gap_insert, gap_delete = _widened(match, gap_insert, gap_delete)
    insert = match + gap_insert
    delete = insert if shared else match + gap_delete
    steps = torch.stack((match, insert, delete)).permute(0, 2, 3, 1)
    return steps / gamma if gamma > 0 else steps


def _lcs_steps(similarity: Tensor, threshold: float) -> Tensor:
    """(3, L, M, B) values of the three moves: a cell allows either the match or the other two."""
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
