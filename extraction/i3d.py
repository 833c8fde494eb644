"""I3D, the inflated Inception-v1 of Carreira and Zisserman (CVPR 2017): clips to features.

The parameters have the names of `rgb_imagenet.pt` and `flow_imagenet.pt`, the checkpoints that most
I3D features of the field were made with.

Letters: B clips, C channels of a frame (RGB 3, flow 2), T frames, H and W pixels; K classes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURE_DIM = 1024
MIN_FRAMES = 9  # fewer frames leave the last pooling, of 2 steps, nothing to pool
BATCH_NORM_EPS = 1e-3
KINETICS_CLASSES = 400

# Output channels of the branches of each Inception block: 1x1x1; 1x1x1 and 3x3x3; 1x1x1 and 3x3x3;
# 1x1x1 after the pooling.
INCEPTION_BLOCKS: dict[str, tuple[int, ...]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Poolings before a block: kernel and stride over (T, H, W).
POOLINGS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


class I3DOutput(NamedTuple):
    """What I3D computes for a batch of clips.

    Attributes:
        features: (B, 1024), the pooled output of the last Inception block, averaged over time.
        logits: (B, K), class scores before the softmax, averaged over time.
    """

    features: Tensor
    logits: Tensor


class I3D(nn.Module):
    """Inflated Inception-v1.

    Args:
        in_channels: Channels of a frame (C): 3 for RGB, 2 for flow.
        num_classes: Number of classes (K).
    """

    def __init__(self, in_channels: int, num_classes: int = KINETICS_CLASSES) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.Conv3d_1a_7x7 = ConvUnit(in_channels, 64, kernel=7, stride=2)
        self.Conv3d_2b_1x1 = ConvUnit(64, 64, kernel=1)
        self.Conv3d_2c_3x3 = ConvUnit(64, 192, kernel=3)
        width = 192
        for name, channels in INCEPTION_BLOCKS.items():
            block = Inception(width, channels)
            self.add_module(name, block)
            width = block.out_channels
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(width, num_classes, 1)})

    def forward(self, clips: Tensor) -> I3DOutput:
        """Computes features and class scores.

        Args:
            clips: (B, C, T, 224, 224), values in [-1, 1], T at least `MIN_FRAMES`.
        """
        x = self.Conv3d_1a_7x7(clips)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in INCEPTION_BLOCKS:
            if name in POOLINGS:
                x = max_pool(x, *POOLINGS[name])
            x = self.get_submodule(name)(x)
        x = F.avg_pool3d(x, (2, 7, 7), stride=1)  # (B, 1024, T / 8 - 1, 1, 1)
        logits = self.logits["conv3d"](x)
        return I3DOutput(x.mean((2, 3, 4)).float(), logits.mean((2, 3, 4)).float())

    @torch.no_grad()
    def fold_batch_norm(self) -> None:
        """Multiplies every batch norm into its convolution; afterwards only for evaluation."""
        self.eval()
        for unit in self.modules():
            if isinstance(unit, ConvUnit):
                unit.fold_batch_norm()


class ConvUnit(nn.Module):
    """Convolution with TensorFlow's "SAME" padding, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn: nn.Module = nn.BatchNorm3d(out_channels, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, out_channels, T / stride, H / stride, W / stride)."""
        conv = self.conv3d
        before, after = same_padding(x.shape[2:], conv.kernel_size, conv.stride)
        if before == after:  # the convolution itself pads, without a copy
            x = F.conv3d(x, conv.weight, conv.bias, conv.stride, before)
        else:
            sides = zip(reversed(before), reversed(after), strict=True)  # last dimension first
            x = F.pad(x, [side for pair in sides for side in pair])
            x = F.conv3d(x, conv.weight, conv.bias, conv.stride)
        return F.relu_(self.bn(x))

    def fold_batch_norm(self) -> None:
        """Replaces the batch norm by a bias and a factor of the convolution."""
        if isinstance(self.bn, nn.BatchNorm3d):
            self.conv3d = fuse_conv_bn_eval(self.conv3d, self.bn)
            self.bn = nn.Identity()


class Inception(nn.Module):
    """Four parallel branches, whose channels are concatenated."""

    def __init__(self, in_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = ConvUnit(in_channels, b0, kernel=1)
        self.b1a = ConvUnit(in_channels, b1a, kernel=1)
        self.b1b = ConvUnit(b1a, b1b, kernel=3)
        self.b2a = ConvUnit(in_channels, b2a, kernel=1)
        self.b2b = ConvUnit(b2a, b2b, kernel=3)
        self.b3b = ConvUnit(in_channels, b3b, kernel=1)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, out_channels, T, H, W)."""
        branches = [
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(max_pool(x, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, dim=1)


def max_pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Max pooling with TensorFlow's "SAME" padding."""
    before, _ = same_padding(x.shape[2:], kernel, stride)
    return F.max_pool3d(x, kernel, stride, before, ceil_mode=True)  # which pads the end as needed


def same_padding(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], list[int]]:
    """TensorFlow's "SAME" padding: output size / stride, rounded up; an odd one is at the end.

    Args:
        sizes: Extent of the input in each dimension.
        kernel: Extent of the window.
        stride: Steps of the window.

    Returns:
        Padding before and after the input, for each dimension.
    """
    totals = [
        max((math.ceil(size / step) - 1) * step + width - size, 0)
        for size, width, step in zip(sizes, kernel, stride, strict=True)
    ]
    return [total // 2 for total in totals], [total - total // 2 for total in totals]
