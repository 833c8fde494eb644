"""Properties of FSD and LCS: symmetry, bounds, padding, precision, devices, paths."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import pad
from torch.testing import assert_close

from models.alignment import (
    cosine_table,
    fine_grained_sequence_distance,
    fsd_path,
    lcs_path,
    longest_common_subsequence,
)
from models.recurrence import DELETE, INSERT, MATCH
from tests.reference_alignment import (
    Lengths,
    Tables,
    slow_fsd_table,
    some_lengths,
    weighted_gradients,
)

property_test = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """Draws three (B, L, M) tables of few distinct values in [-1, 1], so that ties are frequent."""
    shape = tuple(draw(st.integers(1, largest)) for largest in (3, 6, 6))
    values = st.integers(-8, 8).map(lambda eighths: eighths / 8)
    match, insert, delete = (
        torch.tensor(draw(arrays.arrays(np.float64, shape, elements=values))) for _ in range(3)
    )
    return match, insert, delete


@property_test
@given(tables(), st.sampled_from([0.0, 0.1, 1.0]))
def test_fsd_is_symmetric_in_the_two_sequences(drawn: Tables, gamma: float) -> None:
    match, insert, delete = drawn
    score = fine_grained_sequence_distance(match, insert, delete, gamma)
    swapped = fine_grained_sequence_distance(match.mT, delete.mT, insert.mT, gamma)
    assert_close(score, swapped, rtol=1e-12, atol=1e-12)


@property_test
@given(tables(), st.sampled_from([0.0, 0.1, 1.0]))
def test_fsd_is_monotonic_in_the_match_and_close_to_the_plain_maximum(
    drawn: Tables, gamma: float
) -> None:
    match, insert, delete = drawn
    score = fine_grained_sequence_distance(match, insert, delete, gamma)
    more = fine_grained_sequence_distance(match + match.square(), insert, delete, gamma)
    assert (more >= score - 1e-12).all()
    plain = fine_grained_sequence_distance(match, insert, delete, 0.0)
    joins = match.shape[1] + match.shape[2] - 1
    assert (score >= plain - 1e-12).all()
    assert (score <= plain + gamma * joins * np.log(3) + 1e-12).all()


@property_test
@given(tables(), st.sampled_from([-0.5, 0.0, 0.5]))
def test_lcs_is_symmetric_bounded_and_monotonic_in_its_matches(
    drawn: Tables, threshold: float
) -> None:
    similarity = drawn[0]
    score = longest_common_subsequence(similarity, threshold)
    swapped = longest_common_subsequence(similarity.mT, threshold)
    assert_close(score, swapped, rtol=0, atol=0)
    assert (score <= min(similarity.shape[1:])).all()
    # The set of matches stays the same: an additional match can hide a larger neighbour.
    grown = torch.where(similarity > threshold, similarity + 0.25, similarity)
    assert (longest_common_subsequence(grown, threshold) >= score).all()


@property_test
@given(tables(), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 1e30, torch.inf, torch.nan]))
def test_padding_has_no_influence(drawn: Tables, gamma: float, padded_value: float) -> None:
    pairs, rows, columns = drawn[0].shape
    lengths = torch.full((pairs,), rows), torch.full((pairs,), columns)

    def scores_and_gradients(padding: int, lengths: Lengths | None) -> tuple[Tensor, ...]:
        match, insert, delete = (
            pad(table, (0, padding, 0, padding), value=padded_value).requires_grad_()
            for table in drawn
        )
        fsd = fine_grained_sequence_distance(match, insert, delete, gamma, lengths)
        lcs = longest_common_subsequence(match, 0.5, lengths)
        return (
            fsd,
            lcs,
            *weighted_gradients(fsd, match, insert, delete),
            *weighted_gradients(lcs, match),
        )

    fsd, lcs, *gradients = scores_and_gradients(0, None)
    padded_fsd, padded_lcs, *padded_gradients = scores_and_gradients(2, lengths)
    assert_close(padded_fsd, fsd, rtol=1e-12, atol=1e-12)
    assert_close(padded_lcs, lcs, rtol=0, atol=0)
    expected = [pad(gradient, (0, 2, 0, 2)) for gradient in gradients]
    assert_close(padded_gradients, expected, rtol=1e-12, atol=1e-12)


@property_test
@given(tables(), st.sampled_from([1e-6, 1e6]), st.sampled_from([torch.float32, torch.float64]))
def test_extreme_gamma_stays_finite(drawn: Tables, gamma: float, dtype: torch.dtype) -> None:
    match, insert, delete = (table.to(dtype).requires_grad_() for table in drawn)
    score = fine_grained_sequence_distance(match, insert, delete, gamma)
    assert score.isfinite().all()
    for gradient in weighted_gradients(score, match, insert, delete):
        assert gradient.isfinite().all()
    if gamma < 1:
        plain = fine_grained_sequence_distance(match, insert, delete, 0.0)
        assert_close(score, plain, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("gamma", [1e-6, 0.1, 0.0])
def test_the_gradient_of_long_sequences_of_equal_snippets_does_not_grow(gamma: float) -> None:
    """The weights of a cell sum to one, even where rounding absorbs the logarithm of two."""
    match = torch.ones(2, 90, 70, requires_grad=True)
    gap = torch.ones(2, 90, 70)
    score = fine_grained_sequence_distance(match, gap, gap, gamma)
    (gradient,) = torch.autograd.grad(score.sum(), match)
    assert score.isfinite().all()
    assert gradient.min() >= 0
    assert gradient.max() <= 1 + 1e-4


# Precision and devices


def test_the_table_is_float32_under_bfloat16_autocast() -> None:
    x, y = torch.randn(2, 4, 8, requires_grad=True), torch.randn(2, 5, 8, requires_grad=True)

    def score() -> Tensor:
        table = cosine_table(x, y)
        lcs = longest_common_subsequence(table, 0.1)
        return fine_grained_sequence_distance(table, table, table) + lcs

    expected = score()
    with torch.autocast("cpu", torch.bfloat16):
        got = score()
    assert got.dtype == torch.float32
    assert_close(got, expected, rtol=0, atol=0)
    assert_close(weighted_gradients(got, x, y), weighted_gradients(expected, x, y), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tables_are_widened(dtype: torch.dtype) -> None:
    table = torch.randn(2, 3, 4).to(dtype).requires_grad_()
    wide = table.detach().float().requires_grad_()
    score = fine_grained_sequence_distance(table, table, table)
    assert score.dtype == torch.float32
    expected = fine_grained_sequence_distance(wide, wide, wide)
    assert_close(score, expected, rtol=0, atol=0)
    (gradient,) = weighted_gradients(score, table)
    assert gradient.dtype == dtype
    assert_close(gradient.float(), weighted_gradients(expected, wide)[0], rtol=2e-2, atol=2e-2)
    assert longest_common_subsequence(table, 0.5).dtype == torch.float32
    assert cosine_table(table, table).dtype == torch.float32


@pytest.mark.cuda
@pytest.mark.parametrize("gamma", [0.1, 0.0])
def test_cuda_equals_cpu_without_waiting_for_the_device(gamma: float) -> None:
    tables = torch.rand(3, 4, 30, 25)
    lengths = some_lengths(30, 25, pairs=4)

    def scores(device: str) -> tuple[Tensor, ...]:
        x, y, z = moved = [table.to(device).requires_grad_() for table in tables]
        ends = lengths[0].to(device), lengths[1].to(device)
        weights = torch.arange(1.0, 5.0, device=device)
        torch.cuda.set_sync_debug_mode("error")
        try:
            total = fine_grained_sequence_distance(x, y, z, gamma, ends)
            total = total + fine_grained_sequence_distance(x, y, z, gamma)
            total = total + longest_common_subsequence(x, 0.9, ends)
            total = total + longest_common_subsequence(cosine_table(y, z), 0.8)
            got = torch.autograd.grad((weights * total).sum(), moved)
            path = fsd_path(x, y, z, gamma), lcs_path(moved[0], 0.9, ends)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return tuple(tensor.detach().cpu() for tensor in (total, *got, *path))

    assert_close(scores("cuda"), scores("cpu"), rtol=2e-5, atol=2e-5)


@pytest.mark.slow
def test_torch_compile_traces_both_programs_whole() -> None:
    """No decision on the host depends on the data, so the graph has no break."""

    def score(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        fsd = fine_grained_sequence_distance(table, table, table, lengths=(rows, columns))
        return fsd + longest_common_subsequence(table, 0.5)

    table = torch.randn(3, 2, 3, requires_grad=True)
    lengths = some_lengths(2, 3)
    compiled = torch.compile(score, backend="aot_eager", fullgraph=True)
    got = weighted_gradients(compiled(table, *lengths), table)
    assert_close(got, weighted_gradients(score(table, *lengths), table))


# Paths


def walk(path: Tensor, row: int, column: int) -> list[tuple[int, int, int]]:
    """Follows one (L, M) path back from (row, column) and returns its (row, column, code) cells."""
    cells = []
    while row > 0 and column > 0:
        code = int(path[row - 1, column - 1])
        assert code in (MATCH, INSERT, DELETE)
        cells.append((row - 1, column - 1, code))
        row, column = row - (code != DELETE), column - (code != INSERT)
    assert len(cells) == int((path != 0).sum())
    return cells


@property_test
@given(tables(), st.integers(0, 2**32))
def test_the_values_along_a_path_sum_to_the_score(drawn: Tables, seed: int) -> None:
    match, insert, delete = drawn
    pairs, rows, columns = match.shape
    torch.manual_seed(seed)
    lengths = some_lengths(rows, columns, pairs)

    paths = fsd_path(match, insert, delete, 0.0, lengths)
    values = match + insert * (paths == INSERT) + delete * (paths == DELETE)
    scores = fine_grained_sequence_distance(match, insert, delete, 0.0, lengths)
    assert_close((values * (paths != 0)).sum((1, 2)), scores)

    subsequences = lcs_path(match, 0.25, lengths)
    scores = longest_common_subsequence(match, 0.25, lengths)
    assert_close((match * (subsequences == MATCH)).sum((1, 2)), scores)
    assert (match[subsequences == MATCH] > 0.25).all()

    for path in (paths, subsequences):
        assert path.dtype == torch.int8
        for pair in range(pairs):
            walk(path[pair], int(lengths[0][pair]), int(lengths[1][pair]))


def test_the_smooth_path_follows_the_largest_argument() -> None:
    match, insert, delete = torch.randn(3, 4, 5, 7, dtype=torch.float64)
    paths = fsd_path(match, insert, delete, gamma=0.5)
    for pair, path in enumerate(paths):
        table = slow_fsd_table(match[pair], insert[pair], delete[pair], 0.5)
        for i, j, code in walk(path, 5, 7):
            arguments = (
                table[i][j],
                insert[pair, i, j] + table[i][j + 1],
                delete[pair, i, j] + table[i + 1][j],
            )
            assert code == (MATCH, INSERT, DELETE)[int(torch.stack(arguments).argmax())]
