"""FSD and LCS against golden values, the reference implementation and finite differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
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
    Tables,
    slow_cosine,
    slow_fsd,
    slow_lcs,
    some_lengths,
    weighted_gradients,
)

SIZES = [(1, 1), (1, 5), (4, 1), (3, 5), (6, 4)]
PRECISIONS = {"f32": (torch.float32, 2e-5), "f64": (torch.float64, 1e-9)}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def random_table(rows: int, columns: int, pairs: int = 3) -> Tensor:
    return torch.randn(pairs, rows, columns, dtype=torch.float64, requires_grad=True)


def tied_table(rows: int, columns: int, pairs: int = 3) -> Tensor:
    """A table with few distinct values, so that many arguments tie, as with identical snippets."""
    return (torch.randint(0, 3, (pairs, rows, columns)).double() / 2).requires_grad_()


def three_tables(table: Callable[..., Tensor], *size: int) -> Tables:
    return table(*size), table(*size), table(*size)


def all_cells(score: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Returns the (L+1, M+1) table of one pair, read cell by cell through `lengths`."""
    rows, columns = inputs[0].shape
    ends = torch.cartesian_prod(torch.arange(rows + 1), torch.arange(columns + 1))
    repeated = [table.expand(len(ends), -1, -1) for table in inputs]
    return score(*repeated, lengths=tuple(ends.T)).view(rows + 1, columns + 1)


def assert_relative(actual: Tensor, expected: Any, tolerance: float) -> None:
    expected = torch.as_tensor(np.asarray(expected), dtype=actual.dtype)
    largest = float(expected.abs().max())
    assert_close(actual, expected, rtol=tolerance, atol=tolerance * largest)


# Golden values of the official implementation


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["rand_L5_D1024", "small_L8_D32", "len1_D16"])
def test_fsd_equals_the_official_implementation(golden: Path, case: str, precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    numbers = np.load(golden / "fsd.npz")
    x, y = (torch.tensor(numbers[f"{case}/{name}"], dtype=dtype).requires_grad_() for name in "xy")
    half = x.shape[2] // 2
    match = cosine_table(x[..., :half], y[..., :half])
    gap = cosine_table(x[..., half:], y[..., half:])
    score = fine_grained_sequence_distance(match, gap, gap)

    assert_relative(match, numbers[f"{case}/m_{precision}"], tolerance)
    assert_relative(gap, numbers[f"{case}/g_{precision}"], tolerance)
    assert_relative(score, numbers[f"{case}/out_{precision}"], tolerance)
    for pair, expected in enumerate(numbers[f"{case}/C_{precision}"]):
        gaps = gap[pair].detach()
        table = all_cells(fine_grained_sequence_distance, match[pair].detach(), gaps, gaps)
        assert_relative(table, expected, tolerance)
    for name, gradient in zip("xy", weighted_gradients(score, x, y), strict=True):
        key = f"{case}/grad_{name}_{precision}"
        if key in numbers:
            assert_relative(gradient, numbers[key], tolerance)
        else:  # stored as the float64 result rounded to float32
            rounded = numbers[f"{case}/grad_{name}_f64_as_f32"]
            assert_relative(gradient, rounded, max(tolerance, 1e-7))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("setting", ["raw", "raw_thr080", "scaled"])
def test_lcs_equals_the_official_implementation(golden: Path, setting: str, precision: str) -> None:
    dtype, tolerance = PRECISIONS[precision]
    numbers = np.load(golden / "lcs.npz")
    threshold = float(numbers[f"{setting}/thres"])
    x, y = (torch.tensor(numbers[name], dtype=dtype).requires_grad_() for name in "xy")
    similarity = cosine_table(x, y)
    assert_relative(similarity, numbers[f"sim_{precision}"], tolerance)
    if setting == "scaled":
        similarity = 5 * (similarity - 0.8).relu()
    score = longest_common_subsequence(similarity, threshold)

    assert_relative(score, numbers[f"{setting}/out_{precision}"], tolerance)
    fraction = (similarity > threshold).double().mean((1, 2))
    assert_relative(fraction, numbers[f"{setting}/match_fraction"], 1e-12)
    for pair, expected in zip(similarity.detach(), numbers[f"{setting}/C_f32"], strict=True):
        table = all_cells(
            lambda s, lengths: longest_common_subsequence(s, threshold, lengths), pair
        )
        assert_relative(table, expected, 2e-5)
    if f"{setting}/grad_x_f64_as_f32" in numbers:
        for name, gradient in zip("xy", weighted_gradients(score, x, y), strict=True):
            rounded = numbers[f"{setting}/grad_{name}_f64_as_f32"]
            assert_relative(gradient, rounded, max(tolerance, 1e-7))


@pytest.mark.parametrize(("gamma", "name"), [(0.1, "0p1"), (1.0, "1"), (0.0, "0")])
def test_smooth_maximum_equals_the_official_implementation(
    golden: Path, gamma: float, name: str
) -> None:
    numbers = np.load(golden / "maxgamma.npz")
    first, second, third = torch.tensor(numbers["inputs"]).T[:, :, None, None]
    # A table of one cell: first + smax(0, second - first, third - first) = smax of the three.
    score = fine_grained_sequence_distance(first, second - first, third - first, gamma)
    assert_relative(score, numbers[f"gamma_{name}"], 1e-12)


# The reference implementation


@pytest.mark.parametrize("make", [random_table, tied_table])
@pytest.mark.parametrize("gamma", [0.1, 1.0, 0.0])
@pytest.mark.parametrize("size", SIZES)
def test_fsd_equals_the_reference(
    size: tuple[int, int], gamma: float, make: Callable[..., Tensor]
) -> None:
    tables = three_tables(make, *size)
    for lengths in (None, some_lengths(*size)):
        fast = fine_grained_sequence_distance(*tables, gamma, lengths)
        slow = slow_fsd(*tables, gamma, lengths)
        assert_close(fast, slow, rtol=1e-12, atol=1e-12)
        assert_close(weighted_gradients(fast, *tables), weighted_gradients(slow, *tables))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("make", "threshold"), [(random_table, 0.5), (tied_table, 0.4), (tied_table, 0.5)]
)
def test_lcs_equals_the_reference(
    size: tuple[int, int], make: Callable[..., Tensor], threshold: float
) -> None:
    similarity = make(*size, 6)
    for lengths in (None, some_lengths(*size, 6)):
        fast = longest_common_subsequence(similarity, threshold, lengths)
        slow = slow_lcs(similarity, threshold, lengths)
        assert_close(fast, slow, rtol=1e-12, atol=1e-12)
        assert_close(weighted_gradients(fast, similarity), weighted_gradients(slow, similarity))


def test_cosine_equals_the_reference() -> None:
    x, y = torch.randn(2, 3, 6).double(), torch.randn(2, 5, 6).double()
    y[0, 1:3] = x[0, 1]  # identical snippets
    x[1, 2] = y[1, 0] = 0  # zero snippets
    x.requires_grad_()
    y.requires_grad_()
    fast = cosine_table(x, y)
    slow = torch.stack([slow_cosine(*pair) for pair in zip(x, y, strict=True)])
    weights = torch.randn_like(fast)
    assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    assert_close(
        torch.autograd.grad((weights * fast).sum(), (x, y)),
        torch.autograd.grad((weights * slow).sum(), (x, y)),
    )


# Gradients


@pytest.mark.parametrize("lengths", [None, (torch.tensor([2, 0]), torch.tensor([1, 3]))])
@pytest.mark.parametrize("gamma", [0.1, 2.0, 0.0])
@pytest.mark.parametrize("size", [(1, 1), (2, 4), (4, 3), (5, 1)])
def test_gradcheck_of_fsd(
    size: tuple[int, int], gamma: float, lengths: tuple[Tensor, Tensor] | None
) -> None:
    if lengths:
        lengths = lengths[0].clamp(max=size[0]), lengths[1].clamp(max=size[1])

    def score(match: Tensor, insert: Tensor, delete: Tensor) -> Tensor:
        return fine_grained_sequence_distance(match, insert, delete, gamma, lengths)

    assert gradcheck(score, three_tables(random_table, *size, 2))


@pytest.mark.parametrize("size", SIZES)
def test_gradcheck_of_lcs(size: tuple[int, int]) -> None:
    lengths = some_lengths(*size)
    assert gradcheck(lambda table: longest_common_subsequence(table, 0.2), random_table(*size))
    assert gradcheck(
        lambda table: longest_common_subsequence(table, 0.2, lengths), random_table(*size)
    )


def test_gradcheck_of_cosine() -> None:
    assert gradcheck(cosine_table, (random_table(3, 4), random_table(5, 4)))


@pytest.mark.parametrize(
    ("insert", "delete", "chosen"), [(0.0, 0.0, 0), (0.5, 0.5, 1), (0.0, -1.0, 0), (0.5, 0.7, 2)]
)
def test_ties_of_the_plain_maximum(insert: float, delete: float, chosen: int) -> None:
    """The first of the equal largest arguments gets the whole gradient: diagonal, up, left."""
    match, up, left = (
        torch.full((1, 1, 1), value, requires_grad=True) for value in (1.0, insert, delete)
    )
    score = fine_grained_sequence_distance(match, up, left, gamma=0.0)
    got = weighted_gradients(score, match, up, left)
    assert [gradient.item() for gradient in got] == [1, chosen == 1, chosen == 2]
    assert fsd_path(match, up, left, gamma=0.0).item() == (MATCH, INSERT, DELETE)[chosen]


@pytest.mark.parametrize(
    ("similarity", "score", "gradient"),
    [
        ([[0.5, 1.0], [1.0, 0.5]], 1.0, [[0.0, 1.0], [0.0, 0.0]]),  # a tie goes up
        ([[0.5, 1.0], [0.5, 0.75]], 0.75, [[0.0, 0.0], [0.0, 1.0]]),  # a match always counts
        ([[0.625, 0.625], [0.625, 0.625]], 0.0, [[0.0, 0.0], [0.0, 0.0]]),  # above is strict
        ([[0.75, 0.75], [0.75, 1.0]], 1.75, [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_rules_of_lcs(
    similarity: list[list[float]], score: float, gradient: list[list[float]]
) -> None:
    table = torch.tensor([similarity], requires_grad=True)
    got = longest_common_subsequence(table, 0.625)
    assert got.item() == score
    assert weighted_gradients(got, table)[0][0].tolist() == gradient


def test_zero_snippets_have_cosine_zero_and_no_gradient() -> None:
    x, y = torch.randn(1, 2, 4), torch.randn(1, 3, 4)
    x[0, 0] = 0
    x.requires_grad_()
    y.requires_grad_()
    table = cosine_table(x, y)
    assert table[0, 0].tolist() == [0, 0, 0]
    for gradient in torch.autograd.grad(table[0, 0].sum(), (x, y), retain_graph=True):
        assert (gradient == 0).all()
    own, partners = torch.autograd.grad(table.sum(), (x, y))
    assert (own[0, 0] == 0).all()
    assert own.isfinite().all()
    assert partners.isfinite().all()


def test_backward_stores_only_the_weights_and_can_be_repeated() -> None:
    kept: list[int] = []

    def count(tensor: Tensor) -> Tensor:
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    tables = three_tables(torch.rand, 4, 20, 30)
    for table in tables:
        table.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        score = fine_grained_sequence_distance(*tables).sum()
        assert sum(kept) == 3 * 4 * tables[0].numel()  # three float32 weights per cell
        lcs = longest_common_subsequence(tables[0], 0.5)
    assert sum(kept) <= (3 * 4 + 3 + 3) * tables[0].numel()  # three bool weights, masks
    assert lcs.untyped_storage().nbytes() == 4 * lcs.numel()  # not a view of the whole table
    score = score + lcs.sum()
    first = torch.autograd.grad(score, tables, retain_graph=True)
    assert_close(torch.autograd.grad(score, tables), first, rtol=0, atol=0)


# Invalid arguments


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fine_grained_sequence_distance(zeros(2, 3, 4), zeros(2, 3, 5), zeros(2, 3, 4)),
            r"gap_insert has shape \(2, 3, 5\), match has \(2, 3, 4\)",
        ),
        (
            lambda: fine_grained_sequence_distance(zeros(3, 4), zeros(3, 4), zeros(3, 4)),
            r"match has shape \(3, 4\)",
        ),
        (
            lambda: fsd_path(zeros(1, 2, 2), zeros(1, 2, 2), zeros(1, 2, 2), gamma=-1),
            "gamma is -1",
        ),
        (
            lambda: longest_common_subsequence(zeros(2, 0, 3), 0.5),
            r"similarity has shape \(2, 0, 3\): L and M",
        ),
        (
            lambda: longest_common_subsequence(
                zeros(2, 3, 3), 0.5, (torch.ones(2).long(), torch.ones(3).long())
            ),
            r"column lengths have shape \(3,\).*wanted \(2,\)",
        ),
        (
            lambda: lcs_path(zeros(2, 3, 3), 0.5, (torch.ones(2), torch.ones(2))),
            "row lengths .*float32: wanted",
        ),
        (
            lambda: cosine_table(zeros(2, 3, 4), zeros(2, 3, 5)),
            r"\(2, 3, 4\) and \(2, 3, 5\)",
        ),
    ],
)
def test_errors_name_the_shapes_and_values(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_pairs_give_no_scores() -> None:
    nothing = torch.zeros(0, 3, 4, requires_grad=True)
    score = fine_grained_sequence_distance(nothing, nothing, nothing)
    total = score.sum() + longest_common_subsequence(nothing, 0.5).sum()
    assert total.item() == 0
    assert torch.autograd.grad(total, nothing)[0].shape == nothing.shape
