"""The temporal convolution equals that of torch in values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.temporal_conv import TemporalConv


def torch_conv(conv: TemporalConv, x: Tensor) -> Tensor:
    reach = conv.kernel_size[0] // 2
    return F.conv1d(x.transpose(1, 2), conv.weight, conv.bias, padding=reach).transpose(1, 2)


@pytest.mark.parametrize("taps", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1, 4), (3, 2, 4), (4, 17, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_equal_those_of_torch(
    taps: int, shape: tuple[int, int, int], bias: bool
) -> None:
    torch.manual_seed(0)
    conv = TemporalConv(shape[2], 5, taps, bias=bias).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    inputs = [x, *conv.parameters()]
    flow = torch.randn(*shape[:2], 5, dtype=torch.float64)
    found, wanted = conv(x), torch_conv(conv, x)
    torch.testing.assert_close(found, wanted)
    pairs = zip(
        torch.autograd.grad(found, inputs, flow),
        torch.autograd.grad(wanted, inputs, flow),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(lambda *_: conv(x), inputs)


def test_autocast_computes_in_bfloat16_and_gives_float32_gradients() -> None:
    torch.manual_seed(0)
    conv, x = TemporalConv(32, 8, 3), torch.randn(2, 9, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), torch_conv(conv, x), atol=0.05, rtol=0.05)
    found.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.cuda
def test_cuda_equals_the_cpu() -> None:
    torch.manual_seed(0)
    conv, x = TemporalConv(32, 8, 3), torch.randn(2, 9, 32)
    wanted = conv(x)
    torch.testing.assert_close(conv.cuda()(x.cuda()).cpu(), wanted, atol=1e-2, rtol=1e-2)
