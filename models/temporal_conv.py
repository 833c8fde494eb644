"""Convolution over time as matrix products, where nearly all arithmetic of the networks is.

Letters: B videos, T snippets, I input and O output channels, K taps (odd).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class TemporalConv(nn.Conv1d):
    """`Conv1d` with its parameters, for (B, T, I) input, zero-padded to the same length.

    One product a tap over all snippets of all videos at once, accumulated in place: on the CPU this
    comes within a quarter of the speed of a plain matrix product, forward and backward, where the
    library's convolution spends much of its time on transposing (benchmarks/training.py).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, I) -> (B, T, O); in bfloat16 under such autocast."""
        weight, bias = self.weight, self.bias
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        result: Tensor = _TapProducts.apply(x, weight, bias)
        return result


class _TapProducts(torch.autograd.Function):
    """The videos one after the other, K - 1 rows of zeros between them, make one long matrix; the
    rows of the result that reach across a boundary are computed too and not looked at."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        batch, num_snippets, _ = x.shape
        taps = weight.permute(2, 1, 0).contiguous()  # (K, I, O)
        rows = _padded(x, len(taps) // 2, len(taps) // 2)  # (B * (T + K - 1), I)
        result = rows.new_empty(len(rows), taps.shape[2])
        used = result[: len(rows) - len(taps) + 1]
        if bias is None:
            torch.mm(rows[: len(used)], taps[0], out=used)
        else:
            torch.addmm(bias, rows[: len(used)], taps[0], out=used)
        for tap in range(1, len(taps)):
            used.addmm_(rows[tap : tap + len(used)], taps[tap])
        ctx.save_for_backward(rows, weight)
        ctx.has_bias = bias is not None
        return result.view(batch, -1, taps.shape[2])[:, :num_snippets]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        rows, weight = ctx.saved_tensors
        num_taps = weight.shape[2]
        flow = _padded(gradient, 0, num_taps - 1)  # (B * (T + K - 1), O), zero across boundaries
        used = flow[: len(flow) - num_taps + 1]
        by_tap = [used.T @ rows[tap : tap + len(used)] for tap in range(num_taps)]
        to_input = None
        if ctx.needs_input_grad[0]:
            reach = num_taps // 2
            before = _padded(gradient, reach, reach)
            shifted = [
                before[num_taps - 1 - tap : len(before) - tap] @ weight[:, :, tap]
                for tap in range(num_taps)
            ]
            total = F.pad(torch.stack(shifted).sum(dim=0), (0, 0, 0, num_taps - 1))
            to_input = total.view(len(gradient), -1, total.shape[1])[:, : gradient.shape[1]]
        to_bias = used.sum(dim=0) if ctx.has_bias else None
        return to_input, torch.stack(by_tap, dim=2), to_bias


def _padded(x: Tensor, before: int, after: int) -> Tensor:
    """(B, T, C) -> (B * (before + T + after), C), zeros before and after every video."""
    return F.pad(x, (0, 0, before, after)).flatten(0, 1)
