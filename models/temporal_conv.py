"""Convolution over time as matrix products.

This accounts for nearly all arithmetic of the networks.

Letters: B videos, T snippets, I input and O output channels, K taps (odd).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TRANSPOSED_ROWS = 128  # transposed at a time: what fits into the cache of a core


class TemporalConv(nn.Conv1d):
    """`Conv1d` with the same parameters, for (B, T, I) input, zero-padded to the same length.

    One product per tap over all snippets of all videos at once, accumulated in place: on the CPU
    this comes close to the speed of plain matrix products, forward and backward, whereas the
    library's convolution spends much of its time on transposing (benchmarks/training.py).
    """

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
        result: Tensor = _TapProducts.apply(x, self.weight, self.bias)
        return result


class _TapProducts(torch.autograd.Function):
    """The videos, K - 1 rows of zeros between them, form one long matrix; the rows of the result
    that reach across a boundary are computed too and never read. Everything is computed in the
    type of the input; gradients are returned in that of the parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
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
        ctx.save_for_backward(rows, taps)
        ctx.parameter_type, ctx.has_bias = weight.dtype, bias is not None
        return result.view(batch, -1, num_outputs)[:, :num_snippets]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        rows, taps = ctx.saved_tensors
        num_taps = len(taps)
        flow = _padded(gradient, 0, num_taps - 1)  # (B * (T + K - 1), O), zero across boundaries
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
            to_input = total.view(len(gradient), -1, total.shape[1])[:, : gradient.shape[1]]
        return to_input, to_weight, to_bias


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
