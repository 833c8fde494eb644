"""Winograd's form of the temporal convolution equals the direct one, in values and gradients."""

import pytest
import torch
from torch import Tensor

from models import winograd, winograd_conv
from models.temporal_conv import WINOGRAD, TemporalConv
from models.winograd import Winograd

TILES = {2: (1.0,), 4: (2 / 3, 3 / 2), 6: WINOGRAD.positive_points}  # points by outputs of a tile
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 23)


def results(conv: TemporalConv, x: Tensor, flow: Tensor) -> list[Tensor]:
    """Output, and gradients of input, weights and bias."""
    x = x.detach().requires_grad_()
    output = conv(x)
    return [output.detach(), *torch.autograd.grad(output, [x, *conv.parameters()], flow)]


def both_forms(
    shape: tuple[int, int, int], num_outputs: int, dtype: torch.dtype, bias: bool = True
) -> tuple[TemporalConv, TemporalConv, Tensor, Tensor]:
    """The same convolution in Winograd's and in the direct form, with an input and a gradient."""
    torch.manual_seed(0)
    first = TemporalConv(shape[2], num_outputs, 3, bias=bias, form="winograd").to(dtype)
    second = TemporalConv(shape[2], num_outputs, 3, bias=bias, form="direct").to(dtype)
    second.load_state_dict(first.state_dict())
    x = torch.randn(shape, dtype=dtype)
    return first, second, x, torch.randn(*shape[:2], num_outputs, dtype=dtype)


def assert_equal(found: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert (one - other).norm() <= tolerance * other.norm()


@pytest.mark.parametrize("outputs", TILES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("small_blocks", [False, True])
def test_float64_equals_the_direct_form(
    outputs: int, batch: int, small_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Winograd(TILES[outputs])
    assert (form.outputs, form.products) == (outputs, outputs + 2)
    monkeypatch.setattr("models.temporal_conv.WINOGRAD", form)
    if small_blocks:  # several videos in a section, sections in a block, blocks in a video
        monkeypatch.setattr(winograd_conv, "BLOCK_TILES", 3)
        monkeypatch.setattr(winograd, "SECTION_VALUES", 14)
    for length in LENGTHS:
        first, second, x, flow = both_forms((batch, length, 5), 7, torch.float64)
        assert_equal(results(first, x, flow), results(second, x, flow), 1e-12)


def test_the_shape_of_the_paper_in_float64() -> None:
    first, second, x, flow = both_forms((2, 750, 256), 192, torch.float64)
    assert_equal(results(first, x, flow), results(second, x, flow), 1e-12)


def test_float32_is_accurate_to_a_few_units_in_the_last_place() -> None:
    first, second, x, flow = both_forms((2, 300, 256), 256, torch.float32)
    exact = TemporalConv(256, 256, 3, form="direct").double()
    exact.load_state_dict(first.state_dict())
    wanted = results(exact, x.double(), flow.double())
    for conv, limit in ((second, 5e-7), (first, 2e-6)):
        found = [tensor.double() for tensor in results(conv, x, flow)]
        assert_equal(found, wanted, limit)


def test_gradients_of_a_strided_input_and_without_a_bias() -> None:
    first, second, x, flow = both_forms((2, 20, 6), 4, torch.float64, bias=False)
    x = torch.randn(6, 40, 2, dtype=torch.float64).permute(2, 1, 0)[:, ::2]
    flow = flow.transpose(0, 1).contiguous().transpose(0, 1)
    assert_equal(results(first, x, flow), results(second, x, flow), 1e-12)
    assert torch.autograd.gradcheck(first, x[:, :9].requires_grad_())


@pytest.mark.parametrize("form", ["winograd", "direct"])
@pytest.mark.parametrize("to_input", [False, True])
def test_relu_as_a_part_of_the_convolution(form: str, to_input: bool) -> None:
    torch.manual_seed(0)
    conv = TemporalConv(6, 5, 3, form=form).double()
    x = torch.randn(2, 23, 6, dtype=torch.float64, requires_grad=to_input)
    inputs = [x, *conv.parameters()] if to_input else [*conv.parameters()]
    plain = conv(x).relu()
    conv.rectify = True
    rectified = conv(x)
    assert (plain == 0).any()
    torch.testing.assert_close(rectified, plain)
    flow = torch.randn_like(plain)
    found, wanted = (torch.autograd.grad(y, inputs, flow) for y in (rectified, plain))
    assert_equal([*found], [*wanted], 1e-12)


@pytest.mark.parametrize("frozen", ["weight", "bias", "both"])
def test_parameters_that_need_no_gradient(frozen: str) -> None:
    conv, _, x, flow = both_forms((2, 9, 4), 5, torch.float64)
    wanted = results(conv, x, flow)
    names = ["weight", "bias"] if frozen == "both" else [frozen]
    for name in names:
        conv.get_parameter(name).requires_grad_(False)
    x.requires_grad_()
    conv(x).backward(flow)
    for tensor, gradient in zip((x, *conv.parameters()), wanted[1:], strict=True):
        assert (tensor.grad is not None) == tensor.requires_grad
        if tensor.grad is not None:
            torch.testing.assert_close(tensor.grad, gradient)


def test_a_video_does_not_depend_on_the_others_or_on_padding() -> None:
    conv, _, x, _ = both_forms((5, 40, 160), 160, torch.float32)
    together = conv(x)
    for i, length in enumerate((40, 39, 13, 6, 1)):
        padded = x[i : i + 1].clone()
        padded[:, length:] = 0
        torch.testing.assert_close(conv(padded)[:, : length - 1], together[i : i + 1, : length - 1])
        torch.testing.assert_close(conv(x[i : i + 1, :length]), conv(padded)[:, :length])


def test_the_form_in_use_depends_on_size_type_and_device() -> None:
    def used(
        form: str = "auto",
        channels: int = 2048,
        batch: int = 16,
        length: int = 750,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        taps: int = 3,
    ) -> bool:
        with torch.device("meta"):
            conv = TemporalConv(channels, channels, taps, form=form)
        return conv.uses_winograd(batch, length, dtype, torch.device(device))

    assert used()
    assert used(dtype=torch.float64)
    assert used(batch=1)
    assert not used(batch=1, length=375)  # the weights have to be transformed, too
    assert not used(length=1)
    assert not used(channels=64)
    assert not used("direct")
    assert used("winograd", channels=4, batch=1, length=1)
    for form in ("auto", "winograd"):
        assert not used(form, dtype=torch.bfloat16)
        assert not used(form, device="cuda")
        assert not used(form, device="meta")
        assert not used(form, taps=5)
    with pytest.raises(ValueError, match="'fast': wanted one of auto, winograd, direct"):
        used("fast")


def test_the_automatic_form_is_the_one_that_it_names() -> None:
    first, second, x, _ = both_forms((4, 200, 128), 128, torch.float32)
    conv = TemporalConv(128, 128, 3)
    conv.load_state_dict(first.state_dict())
    assert conv(x).equal(first(x))
    assert not conv(x).equal(second(x))
    assert conv(x[:1]).equal(second(x[:1]))


def test_the_export_sees_a_convolution_of_the_library() -> None:
    conv, _, x, _ = both_forms((2, 20, 6), 4, torch.float32)
    program = torch.export.export(conv, (x,))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert any("conv" in target for target in targets)
    torch.testing.assert_close(program.module()(x), conv(x))
