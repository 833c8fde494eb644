"""ACM-Net and its losses against the values of the official implementation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.acmnet import ACMNet
from models.branches import BACKGROUND, CONTEXT, INSTANCE
from models.losses import acm_losses
from models.terms import weighted_sum

UNIT = {"instance": 1.0, "context": 1.0, "background": 1.0}
WEIGHTS = {**UNIT, "guide": 2e-3, "feature": 5e-5, "sparse": 2e-4}
PRECISIONS = [(torch.float32, "f32", 2e-5), (torch.float64, "f64", 1e-9)]


class GivenMask(nn.Module):
    """Stands in for a dropout whose mask is known."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask


@pytest.fixture(scope="module")
def values(golden: Path) -> Any:
    return np.load(golden / "net_loss.npz")


def official_net(values: Any, dtype: torch.dtype, mode: str, video: int) -> ACMNet:
    settings = json.loads(str(values["hyper_params_json"]))
    net = ACMNet(settings["feature_dim"], settings["action_cls_num"], settings["dropout"])
    names = [name for name, _ in net.named_parameters()]
    net.load_state_dict({name: torch.tensor(values[f"sd/{name}"]) for name in names})
    net = net.to(dtype).eval()
    if mode == "train":
        net.snippet_dropout = GivenMask(
            torch.tensor(values[f"drop/mask{video}_select"], dtype=dtype)
        )  # type: ignore[assignment]
        net.channel_dropout = GivenMask(torch.tensor(values[f"drop/mask{video}_feat"], dtype=dtype))  # type: ignore[assignment]
    return net


def check(actual: Tensor, expected: Any, tolerance: float) -> None:
    expected = np.asarray(expected, dtype=np.float64)
    scale = max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(
        actual.detach().double().numpy(), expected, rtol=tolerance, atol=tolerance * scale
    )


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("video", [1, 2])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), PRECISIONS)
def test_outputs_equal_the_official_ones(
    values: Any, mode: str, video: int, dtype: torch.dtype, suffix: str, tolerance: float
) -> None:
    net = official_net(values, dtype, mode, video)
    output = net(torch.tensor(values[f"x{video}"], dtype=dtype))
    cas = output.cas_logits.softmax(dim=-1)
    actual = {"temp_att": output.attention, "act_cas": cas}
    for branch, name in [(INSTANCE, "inst"), (CONTEXT, "cont"), (BACKGROUND, "back")]:
        actual[f"act_{name}_cls"] = output.video_logits[:, branch].softmax(dim=-1)
        actual[f"act_{name}_feat"] = output.branch_features[:, branch]
        actual[f"act_{name}_cas"] = output.branch_cas(branch)
    for name, tensor in actual.items():
        check(tensor, values[f"{mode}/out{video}/{name}_{suffix}"], tolerance)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), PRECISIONS)
def test_losses_and_gradients_equal_the_official_ones(
    values: Any, mode: str, dtype: torch.dtype, suffix: str, tolerance: float
) -> None:
    net = official_net(values, dtype, mode, 1)
    labels = torch.tensor(values["label1"], dtype=dtype)
    losses = acm_losses(net(torch.tensor(values["x1"], dtype=dtype)), labels, len(labels)).losses
    total = weighted_sum(losses, WEIGHTS)
    total.backward()
    prefix = f"{mode}/pure_acm_loss"
    names = {
        "instance": "act_inst_loss",
        "context": "act_cont_loss",
        "background": "act_back_loss",
        "guide": "guide_loss",
        "feature": "feat_loss",
        "sparse": "sparse_loss",
    }
    for name, released in names.items():
        check(losses[name], values[f"{prefix}/{released}_{suffix}"], tolerance)
    check(total, values[f"{prefix}/total_{suffix}"], tolerance)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        check(parameter.grad, values[f"{prefix}/grad/{name}_{suffix}"], tolerance)


def test_a_padded_batch_equals_one_video_at_a_time() -> None:
    torch.manual_seed(0)
    net = ACMNet(16, 4).double().eval()
    videos = [torch.rand(length, 16, dtype=torch.float64) for length in (1, 2, 7, 40, 33)]
    batch = nn.utils.rnn.pad_sequence(videos, batch_first=True)
    output = net(batch, torch.tensor([len(video) for video in videos]))
    for i, video in enumerate(videos):
        alone = net(video[None])
        n = len(video)
        for name in ("embedding", "attention", "cas_logits"):
            torch.testing.assert_close(getattr(output, name)[i, :n], getattr(alone, name)[0])
        for name in ("video_logits", "branch_features"):
            torch.testing.assert_close(getattr(output, name)[i], getattr(alone, name)[0])


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_videos_shorter_than_a_top_k_give_finite_losses_and_gradients(length: int) -> None:
    torch.manual_seed(0)
    net = ACMNet(8, 3)
    labels = torch.tensor([[1.0, 0, 1]])
    total = weighted_sum(acm_losses(net(torch.rand(1, length, 8)), labels, 1).losses, WEIGHTS)
    total.backward()
    assert total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_all_zero_features_give_finite_gradients() -> None:
    net = ACMNet(8, 3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    total = weighted_sum(
        acm_losses(net(torch.zeros(2, 12, 8)), torch.eye(3)[:2], 2).losses, WEIGHTS
    )
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_dropout_drops_whole_snippets_and_channels_and_only_before_the_classifier() -> None:
    torch.manual_seed(0)
    net = ACMNet(64, 3, dropout=0.5)
    features = torch.rand(4, 200, 64)
    seen: list[Tensor] = []
    of_rows = net.channel_dropout.of_rows
    net.channel_dropout.of_rows = lambda *given: seen.append(of_rows(*given)) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    output = net(features)
    embedding = output.embedding
    torch.testing.assert_close(embedding, net.eval()(features).embedding)
    bias = net.snippet_cls.bias
    dropped = (output.cas_logits == bias).all(dim=-1)  # (B, T)
    assert 0.45 < dropped.float().mean().item() < 0.55
    kept = embedding[~dropped]
    within = (seen[0] != 0)[kept > 0].float().mean().item()
    assert 0.45 < within < 0.55
    torch.testing.assert_close(seen[0], torch.where(seen[0] == 0, 0, kept * 2))
    expected = torch.nn.functional.linear(2 * seen[0], net.snippet_cls.weight, bias)
    torch.testing.assert_close(output.cas_logits[~dropped], expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_computing_only_the_kept_snippets_changes_nothing(dtype: torch.dtype) -> None:
    class Plain(nn.Module):
        """The same dropout, which the network does not recognize."""

        def __init__(self, dropout: nn.Module) -> None:
            super().__init__()
            self.dropout = dropout

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.dropout(x)
            return result

    net, features = ACMNet(64, 3).to(dtype), torch.rand(3, 40, 64).to(dtype)
    results = []
    for dropout in (net.channel_dropout, Plain(net.channel_dropout)):
        net.channel_dropout = dropout  # type: ignore[assignment]
        net.zero_grad()
        torch.manual_seed(0)
        output = net(features)
        (output.cas_logits.square().sum() + output.branch_features.sum()).backward()
        gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
        results.append([output.cas_logits.detach(), torch.rand(9), *gradients])
    tolerance = 0.05 if dtype == torch.bfloat16 else 1e-12
    for found, wanted in zip(*results, strict=True):
        assert (found - wanted).norm() <= tolerance * wanted.norm()


def test_a_batch_whose_snippets_are_all_dropped_has_finite_gradients() -> None:
    net = ACMNet(8, 3, dropout=0.999)
    torch.manual_seed(0)
    output = net(torch.rand(1, 2, 8))
    assert (output.cas_logits == net.snippet_cls.bias).all()
    output.cas_logits.sum().backward()
    assert net.snippet_cls.weight.grad is not None
    assert not net.snippet_cls.weight.grad.any()
