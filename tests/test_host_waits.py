"""A training step never makes the host wait: checked on the "meta" device, without a GPU.

A meta tensor has a shape and a device but no values, so a step on it is quick at any size. What
would make the host wait for a GPU shows as an operation that needs values or another device.
tests/test_engine.py asks CUDA itself, where there is one.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import engine
from build import build_criterion, loss_weights
from config.model_config import make_config
from dataset.batches import Batch
from dataset.dataset import Split
from dataset.features.store import FeatureStore
from models.acmnet import ACMNet
from models.ftclnet import FTCLNet
from models.recurrence import AlignmentScore
from models.temporal_conv import _TapProducts
from utils.device import Device

META = torch.device("meta")
# They copy values to the device.
FROM_PYTHON = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy, Tensor.new_tensor)
GETTERS = (Tensor.__getitem__, Tensor.__setitem__)


class Wait(AssertionError):
    """The host would wait for the device."""


class Operations(TorchDispatchMode):
    """Refuses operations that read values, mix devices or have a size that depends on values."""

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = str(function)
        taken = _tensors((args, kwargs))
        if "_local_scalar_dense" in name or "nonzero" in name or "masked_select" in name:
            raise Wait(f"{name} needs the values")
        if name.startswith("aten.index") and any(t.dtype == torch.bool for t in _tensors(args[1])):
            raise Wait(f"{name} with a mask needs its values")
        try:
            result = function(*args, **kwargs)
        except NotImplementedError as error:  # "no data"
            raise Wait(f"{name} needs the values") from error
        if any(t.device != META for t in [*taken, *_tensors(result)]):
            raise Wait(f"{name} goes from one device to another")
        return result


class Indices(TorchFunctionMode):
    """Refuses values of Python that are copied to the device, which no operation shows.

    It does not reach into a backward pass: see `in_backward`.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in FROM_PYTHON:
            raise Wait(f"{function.__name__} copies from the host")
        if function in GETTERS:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list | tuple | range | np.ndarray) for part in index):
                raise Wait("a list as an index is copied from the host")
        return function(*args, **(kwargs or {}))


def in_backward(function: type[torch.autograd.Function], patch: pytest.MonkeyPatch) -> None:
    """Has `Indices` watch a backward pass that is written in Python."""
    backward = function.backward

    def watched(*args: Any) -> Any:
        with Indices():
            return backward(*args)

    patch.setattr(function, "backward", staticmethod(watched))


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@pytest.fixture
def without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none for the meta device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)


@pytest.mark.usefixtures("without_autocast")
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"ftcl": True},
        {"ftcl": True, "gamma": 0.0, "background_candidates": "low", "distinct_candidates": True},
        {"ftcl": True, "objective": "paper", "background_candidates": "attention"},
        {"ftcl": True, "without_fsd": True},
    ],
    ids=lambda flags: " ".join(flags) or "acmnet",
)
def test_a_training_step_asks_nothing_of_the_host(
    flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that train_one_epoch does for a batch, in float32, but the step of Adam, torch's own."""
    in_backward(_TapProducts, monkeypatch)
    in_backward(AlignmentScore, monkeypatch)
    names: list[str] = []
    # the report, once per epoch, does wait
    monkeypatch.setattr(engine._Tally, "report", lambda tally: names.extend(tally.losses))
    config = make_config(**flags)
    with META:
        net = (FTCLNet if config.ftcl else ACMNet)(2048, 20)
        if config.objective == "paper":
            net = FTCLNet(2048, 20, separate_gaps=True)
        store = FeatureStore(torch.empty(9000, 2048), torch.ones(30).long(), torch.ones(30).long())
        split = Split([], store, torch.empty(30, 20), {})
        batch = Batch(torch.ones(32).long(), torch.ones(32, 750).long(), unit=2)
    criterion, weights = build_criterion(config, net), loss_weights(config)
    optimizer, steps = torch.optim.Adam(net.parameters()), []
    monkeypatch.setattr(optimizer, "step", lambda: steps.append(1))
    with Operations(), Indices():
        engine.train_one_epoch(
            net, criterion, weights, [batch] * 2, split, optimizer, Device(META, "fp32"), str
        )
    assert len(steps) == 2
    assert {"instance", "total"} <= {*names}
    assert ("fsd" in names) == (config.ftcl and not config.without_fsd)


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x[:, [0, 1]],
        lambda x: x[:, (0, 1)],
        lambda x: x[:, range(2)],
        lambda x: x[torch.arange(2)],
        lambda x: x.cpu(),
        lambda x: torch.zeros(4).to(META),
        lambda x: x + torch.tensor([1.0], device=META),
        lambda x: x + torch.asarray([1.0], device=META),
        lambda x: x + x.new_tensor([1.0]),
        lambda x: (x > 0).nonzero(),
    ],
)
def test_what_makes_the_host_wait_is_noticed(waits: Callable[[Tensor], object]) -> None:
    x = torch.empty(3, 4, device=META)
    with Operations(), Indices(), pytest.raises(Wait):
        waits(x)


def test_what_makes_the_host_wait_in_a_backward_pass_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient + gradient[[0, 1, 2]]

    in_backward(Function, monkeypatch)
    x = torch.empty(3, 4, device=META, requires_grad=True)
    with Operations(), Indices(), pytest.raises(Wait):
        Function.apply(x).sum().backward()
