"""Dropout does on the CPU what the library's does, with masks of its own."""

import pytest
import torch
from torch import nn

from models.dropout import Dropout

KINDS = [torch.float32, torch.float64, torch.bfloat16]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_elements_are_dropped_one_by_one_and_the_others_scaled(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.rand(50, 7, 311, dtype=torch.float64).add(1).to(kind).requires_grad_()
    y = Dropout(p)(x)
    assert (y.dtype, y.shape) == (kind, x.shape)
    kept = y != 0
    # Five standard deviations, of the whole and of neighbours along each axis.
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


def test_the_mean_is_that_of_the_input() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1000)
    assert Dropout(0.7)(x).mean().item() == pytest.approx(1, abs=0.01)


def test_a_seed_gives_the_same_mask_and_the_next_call_another() -> None:
    layer, x = Dropout(0.7), torch.ones(3, 5, 13)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert layer(x).equal(first)
    assert not second.equal(first)


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.0])
def test_extremes_are_the_librarys(p: float) -> None:
    x = torch.randn(4, 9)
    assert Dropout(p)(x).equal(nn.Dropout(p)(x))


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(4, 9)
    assert Dropout(0.7).eval()(x) is x


def test_no_elements_are_no_problem() -> None:
    assert Dropout(0.7)(torch.ones(0, 5)).shape == (0, 5)
