"""Convolution over time as matrix products: one per tap, or fewer in Winograd's form.

This accounts for nearly all arithmetic of the networks.

Letters: B videos, T snippets, I input and O output channels, K taps (odd).
"""

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.winograd import Winograd
from models.winograd_conv import convolve, gradient_of_relu, parameter_gradients

FORMS = ("auto", "winograd", "direct")
# Three pairs of points: 8 products for 6 snippets instead of 18. Larger tiles save little more and
# have larger rounding errors. In float32 these are three times those of the direct form: 8.9e-7 of
# the norm of the result, against 2.9e-7.
WINOGRAD = Winograd((0.5, 1.0, 2.0))
WINOGRAD_TYPES = (torch.float32, torch.float64)
# Below these sizes, transforming costs more than the products that it saves.
WINOGRAD_CHANNELS = 128
WINOGRAD_SAVED_PRODUCTS = 1000  # products of one snippet with the weights of a tap
Gradients: TypeAlias = tuple[Tensor | None, Tensor | None, Tensor | None, None]
TRANSPOSED_ROWS = 128  # transposed at a time: what fits into the cache of a core


class TemporalConv(nn.Conv1d):
    """`Conv1d` with the same parameters, for (B, T, I) input, zero-padded to the same length.

    The direct form is one product per tap over all snippets of all videos at once, accumulated in
    place: on the CPU this comes close to the speed of plain matrix products, forward and backward,
    whereas the library's convolution spends much of its time on transposing
    (benchmarks/training.py). Winograd's form, for three taps on the CPU in float32 or float64,
    needs 4/9 of the products; its results differ in the last digits.

    Args:
        in_channels, out_channels, kernel_size: I, O and K.
        bias: Whether the output has a bias.
        rectify: Whether ReLU follows; as a part of the convolution it takes less time.
        form: "winograd" where it exists, "direct", or "auto": Winograd's form where it is faster.

    Raises:
        ValueError: For an unknown form.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        rectify: bool = False,
        form: str = "auto",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        if form not in FORMS:
            raise ValueError(f"form is {form!r}: wanted one of {', '.join(FORMS)}")
        self.rectify, self.form = rectify, form

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, I) -> (B, T, O), B >= 1; in bfloat16 under such autocast.

        Raises:
            ValueError: If the input has another type than the weights, without autocast.
        """
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        elif x.dtype != self.weight.dtype:
            raise ValueError(f"the input is {x.dtype}, the weights are {self.weight.dtype}")
        if _is_exporting():
            weight = self.weight.to(x.dtype)
            bias = None if self.bias is None else self.bias.to(x.dtype)
            reach = self.kernel_size[0] // 2
            output = F.conv1d(x.mT, weight, bias, padding=reach).mT
            return F.relu(output) if self.rectify else output
        winograd = self.uses_winograd(len(x), x.shape[1], x.dtype, x.device)
        form = _WinogradProducts if winograd else _TapProducts
        result: Tensor = form.apply(x, self.weight, self.bias, self.rectify)
        return result

    def uses_winograd(
        self, batch: int, num_snippets: int, dtype: torch.dtype, device: torch.device
    ) -> bool:
        """Whether input (B, T, I) of this type is convolved in Winograd's form."""
        if device.type != "cpu" or dtype not in WINOGRAD_TYPES or self.kernel_size != (3,):
            return False
        if self.form == "auto":
            tiles = -(-num_snippets // WINOGRAD.outputs)
            saved = batch * (3 * num_snippets - WINOGRAD.products * tiles)
            narrow = min(self.in_channels, self.out_channels) < WINOGRAD_CHANNELS
            compiling = torch.compiler.is_compiling()  # which could not fuse the blocks
            return not narrow and saved >= WINOGRAD_SAVED_PRODUCTS and not compiling
        return self.form == "winograd"

    def form_name(
        self, batch: int, num_snippets: int, dtype: torch.dtype, device: torch.device
    ) -> str:
        """The form in which such input is convolved, for people; arguments: see `uses_winograd`."""
        taps = self.kernel_size[0]
        if not self.uses_winograd(batch, num_snippets, dtype, device):
            return f"direct ({taps} products per snippet)"
        outputs, products = WINOGRAD.outputs, WINOGRAD.products
        return f"Winograd F({outputs}, {taps}) ({products / outputs:.2f} products per snippet)"


class _WinogradProducts(torch.autograd.Function):
    """Convolution with three taps in Winograd's form."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
        result = convolve(WINOGRAD, x, weight, bias, rectify)
        ctx.save_for_backward(x, weight, result if rectify else None)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Gradients:
        x, weight, rectified = ctx.saved_tensors
        to_input = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            if rectified is not None:
                of_output, gradient = gradient, torch.empty_like(gradient)
                gradient_of_relu(of_output, rectified, gradient)
                rectified = None
            # The taps in reverse order; inputs and outputs are exchanged.
            to_input = convolve(WINOGRAD, gradient, weight.transpose(0, 1).flip(2), None, False)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            to_weight, to_bias = parameter_gradients(WINOGRAD, x, gradient, rectified)
        return to_input, to_weight, to_bias if ctx.needs_input_grad[2] else None, None


class _TapProducts(torch.autograd.Function):
    """The videos, K - 1 rows of zeros between them, form one long matrix; the rows of the result
    that reach across a boundary are computed too and never read. Everything is computed in the
    type of the input; gradients are returned in that of the parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool) -> Tensor:
        batch, num_snippets, _ = x.shape
        num_outputs, num_inputs, num_taps = weight.shape
        taps = x.new_empty(num_taps, num_outputs, num_inputs).copy_(weight.permute(2, 0, 1))
        rows = _padded(x, num_taps // 2, num_taps // 2)  # (B * (T + K - 1), I)
        result = rows.new_empty(len(rows), num_outputs)
        used = result[: len(rows) - num_taps + 1]
        if bias is None:
            torch.mm(rows[: len(used)], taps[0].T, out=used)
        else:
            torch.addmm(bias.to(x.dtype), rows[: len(used)], taps[0].T, out=used)
        for tap in range(1, num_taps):
            used.addmm_(rows[tap : tap + len(used)], taps[tap].T)
        result = result.view(batch, -1, num_outputs)[:, :num_snippets]
        if rectify:
            result = F.relu(result)
        ctx.save_for_backward(rows, taps, result if rectify else None)
        ctx.parameter_type, ctx.has_bias = weight.dtype, bias is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Gradients:
        rows, taps, rectified = ctx.saved_tensors
        num_taps = len(taps)
        batch, num_snippets, num_outputs = gradient.shape
        # (B * (T + K - 1), O), zero across boundaries
        flow = gradient.new_empty(batch, num_snippets + num_taps - 1, num_outputs)
        flow[:, num_snippets:] = 0
        if rectified is None:
            flow[:, :num_snippets] = gradient
        else:
            gradient_of_relu(gradient, rectified, flow[:, :num_snippets])
        gradient, flow = flow[:, :num_snippets], flow.flatten(0, 1)
        used = flow[: len(flow) - num_taps + 1]
        columns = _transposed(used)
        by_tap = [columns @ rows[tap : tap + len(used)] for tap in range(num_taps)]
        to_weight = torch.stack(by_tap, dim=2).to(ctx.parameter_type)
        to_bias = used.sum(dim=0).to(ctx.parameter_type) if ctx.has_bias else None
        to_input = None
        if ctx.needs_input_grad[0]:
            reach = num_taps // 2
            before = _padded(gradient, reach, reach)
            shifted = [
                before[num_taps - 1 - tap : len(before) - tap] @ taps[tap]
                for tap in range(num_taps)
            ]
            total = F.pad(torch.stack(shifted).sum(dim=0), (0, 0, 0, num_taps - 1))
            to_input = total.view(batch, -1, total.shape[1])[:, :num_snippets]
        return to_input, to_weight, to_bias, None


def _is_exporting() -> bool:
    """Whether torch.export or the ONNX export is tracing: they know the library's convolution."""
    exporting = getattr(torch.compiler, "is_exporting", lambda: False)  # since torch 2.7
    return bool(exporting() or torch.onnx.is_in_onnx_export())


def _padded(x: Tensor, before: int, after: int) -> Tensor:
    """(B, T, C) -> (B * (before + T + after), C), with zeros before and after every video."""
    return F.pad(x, (0, 0, before, after)).flatten(0, 1)


def _transposed(x: Tensor) -> Tensor:
    """(R, C) -> (C, R), in the form that the products of the backward pass read fastest.

    Products in bfloat16 on the CPU take twice as long if they transpose a matrix themselves.
    """
    if x.dtype != torch.bfloat16 or not x.is_cpu:
        return x.T
    result = x.new_empty(x.shape[1], x.shape[0])
    for start in range(0, len(x), TRANSPOSED_ROWS):
        result[:, start : start + TRANSPOSED_ROWS] = x[start : start + TRANSPOSED_ROWS].T
    return result
