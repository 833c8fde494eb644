"""The losses and gradients of a step equal those of the reference implementation."""

import pytest
import torch
from torch import Tensor

from models.contrastive import ContrastiveLosses
from models.criteria import ACMCriterion, Criterion, FTCLCriterion
from models.ftclnet import FTCLNet
from models.terms import weighted_sum
from tests.reference_training import SlowNet, slow_acm_losses, slow_ftcl_losses

UNIT = {"instance": 1.0, "context": 1.0, "background": 1.0}
WEIGHTS = {**UNIT, "guide": 2e-3, "feature": 5e-5, "sparse": 2e-4, "fsd": 0.8, "lcs": 0.1}
CLASSES, CHANNELS, SNIPPETS, PROJECTED = 4, 24, 64, 16


def gradients(net: torch.nn.Module, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    weighted_sum(losses, WEIGHTS).backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in net.named_parameters()}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("ftcl", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_losses_and_gradients_equal_the_slow_ones(seed: int, ftcl: bool, device: str) -> None:
    torch.manual_seed(seed)
    pairs = 5
    net = FTCLNet(CHANNELS, CLASSES, dropout=0.0, fc_dim=PROJECTED).to(device, torch.float64)
    slow = SlowNet(CHANNELS, CLASSES, dropout=0.0, fc_dim=PROJECTED).to(device, torch.float64)
    slow.load_state_dict(net.state_dict())
    features = torch.rand(2 * pairs, SNIPPETS, CHANNELS, dtype=torch.float64).to(device)
    labels = torch.eye(CLASSES, dtype=torch.float64)[[0, 1, 2, 3, 0, 0, 2, 2, 3, 1]].to(device)
    rows = torch.arange(SNIPPETS, device=device).expand(2 * pairs, -1)
    if ftcl:
        criterion: Criterion = FTCLCriterion(ACMCriterion(), ContrastiveLosses(net.project))
        halves = (labels[:pairs], labels[pairs:])
        wanted = slow_ftcl_losses(slow, features[:pairs], features[pairs:], halves)
    else:
        criterion = ACMCriterion()
        wanted = slow_acm_losses(slow(features), labels)
    found = criterion(net(features), labels, rows).losses
    assert found.keys() == wanted.keys()
    for name, loss in wanted.items():
        assert loss != 0, name
        torch.testing.assert_close(found[name], loss, rtol=1e-8, atol=1e-8, msg=name)
    slow_gradients = gradients(slow, wanted)
    for name, gradient in gradients(net, found).items():
        torch.testing.assert_close(gradient, slow_gradients[name], rtol=1e-6, atol=1e-8, msg=name)
