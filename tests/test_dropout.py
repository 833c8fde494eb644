"""Dropout on the CPU has the distribution of torch's, with its own random masks."""

import pytest
import torch
from torch import nn

from models.dropout import Dropout

KINDS = [torch.float32, torch.float64, torch.bfloat16]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_elements_are_dropped_independently_and_the_others_scaled(
    p: float, kind: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = torch.rand(50, 7, 311, dtype=torch.float64).add(1).to(kind).requires_grad_()
    y = Dropout(p)(x)
    assert (y.dtype, y.shape) == (kind, x.shape)
    kept = y != 0
    # Within five standard deviations, for all elements and for neighbours along each axis.
    count = kept.numel()
    assert abs(kept.double().mean() - (1 - p)) < 5 * (p * (1 - p) / count) ** 0.5
    for axis in range(3):
        first, second = (kept.narrow(axis, i, x.shape[axis] - 1) for i in (0, 1))
        both = (first & second).double().mean()
        assert abs(both - (1 - p) ** 2) < 8 * (1 - p) / count**0.5
    rounding = 2e-2 if kind == torch.bfloat16 else 1e-4
    torch.testing.assert_close(y[kept], (x / (1 - p))[kept], rtol=rounding, atol=0)
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).equal(kept)
    torch.testing.assert_close((x.grad * x).detach(), y.detach(), rtol=2e-2, atol=0)


def test_the_mean_of_the_input_is_preserved() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1000)
    assert Dropout(0.7)(x).mean().item() == pytest.approx(1, abs=0.01)


def test_a_seed_reproduces_the_mask_and_the_next_call_differs() -> None:
    layer, x = Dropout(0.7), torch.ones(3, 5, 13)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert layer(x).equal(first)
    assert not second.equal(first)


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.0])
def test_extreme_probabilities_equal_torch(p: float) -> None:
    x = torch.randn(4, 9)
    assert Dropout(p)(x).equal(nn.Dropout(p)(x))


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(4, 9)
    assert Dropout(0.7).eval()(x) is x


def test_an_empty_tensor_is_accepted() -> None:
    assert Dropout(0.7)(torch.ones(0, 5)).shape == (0, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows_have_the_mask_that_they_have_among_all(kind: torch.dtype) -> None:
    layer, x = Dropout(0.7), torch.rand(30, 13).add(1).to(kind)
    rows = torch.tensor([0, 3, 4, 28])
    torch.manual_seed(1)
    wanted, wanted_next = layer(x)[rows], torch.rand(5)
    torch.manual_seed(1)
    assert layer.of_rows(x, rows).equal(wanted)
    assert torch.rand(5).equal(wanted_next)
    assert layer.of_rows(x, rows[:0]).shape == (0, 13)
