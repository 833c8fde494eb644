"""Small stand-ins and references for tests of the I3D features."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from extraction.i3d import I3D, INCEPTION_BLOCKS, POOLINGS


def random_i3d(in_channels: int, classes: int = 7) -> I3D:
    """An I3D with random weights, the same in every call, whose activations keep their scale."""
    net = I3D(in_channels, classes).eval()
    with torch.no_grad():
        for name, values in [*net.named_parameters(), *net.named_buffers()]:
            if not values.is_floating_point():
                continue
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            if name.endswith("conv3d.weight"):
                values.normal_(0, (2 / values[0].numel()) ** 0.5, generator=generator)
            elif name.endswith(("bn.weight", "running_var")):
                values.uniform_(0.8, 1.2, generator=generator)
            else:
                values.uniform_(-0.1, 0.1, generator=generator)
    return net


def reference_features(weights: dict[str, Tensor], clips: Tensor) -> NDArray[np.float64]:
    """The features of I3D in float64, operation by operation.

    Every padding is written out, and batch norm and convolution are separate.

    Args:
        weights: Parameters by name.
        clips: (B, C, T, H, W).
    """
    weights = {name: values.double() for name, values in weights.items()}

    def padded(x: Tensor, kernel: int | tuple[int, ...], stride: int | tuple[int, ...]) -> Tensor:
        kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
        stride = (stride,) * 3 if isinstance(stride, int) else stride
        for axis in range(3):
            size = x.shape[2 + axis]
            rest = size % stride[axis]
            total = max(kernel[axis] - (rest if rest else stride[axis]), 0)
            shape = list(x.shape)
            for length, first in ((total // 2, True), (total - total // 2, False)):
                shape[2 + axis] = length
                zeros = x.new_zeros(shape)
                x = torch.cat([zeros, x] if first else [x, zeros], dim=2 + axis)
        return x

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = weights[f"{name}.conv3d.weight"]
        x = F.conv3d(padded(x, weight.shape[-1], stride), weight, stride=stride)
        mean, var = weights[f"{name}.bn.running_mean"], weights[f"{name}.bn.running_var"]
        scale = weights[f"{name}.bn.weight"] / (var + 1e-3).sqrt()
        shift = weights[f"{name}.bn.bias"] - mean * scale
        shape = (1, -1, 1, 1, 1)
        return (x * scale.view(shape) + shift.view(shape)).clamp(min=0)

    def pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        return F.max_pool3d(padded(x, kernel, stride), kernel, stride)

    x = unit(clips.double(), "Conv3d_1a_7x7", 2)
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    for block in INCEPTION_BLOCKS:
        if block in POOLINGS:
            x = pool(x, *POOLINGS[block])
        x = torch.cat(
            [
                unit(x, f"{block}.b0"),
                unit(unit(x, f"{block}.b1a"), f"{block}.b1b"),
                unit(unit(x, f"{block}.b2a"), f"{block}.b2b"),
                unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{block}.b3b"),
            ],
            dim=1,
        )
    steps = x.mean((3, 4))  # (B, 1024, T / 8)
    return ((steps[..., :-1] + steps[..., 1:]) / 2).mean(-1).numpy()
