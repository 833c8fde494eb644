"""Convolution over time in Winograd's form, and its gradients, over blocks of tiles.

Tiles are transformed a few at a time, so that the intermediate values stay in the cache, and
multiplied by the block, so that memory does not grow with the number of videos.

Letters: B videos, T snippets, I input and O output channels; a tile has n inputs and m outputs.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models import winograd
from models.winograd import Winograd, ranges

BLOCK_TILES = 1024  # multiplied at a time: enough for the full speed of a matrix product


class Section(NamedTuple):
    """Tiles that are transformed at a time: the same range of tiles in some adjacent videos.

    Attributes:
        videos: Range of the videos.
        tiles: Range of the tiles in each of them.
        place: Range of these tiles, video by video, in the block.
    """

    videos: slice
    tiles: slice
    place: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Number of videos and number of tiles of each."""
        return self.videos.stop - self.videos.start, self.tiles.stop - self.tiles.start

    def of(self, block: Tensor) -> Tensor:
        """(n, tiles of the block, C) -> (n, videos, tiles, C), the part of this section."""
        return block[:, self.place].unflatten(1, self.shape)


def convolve(
    form: Winograd, x: Tensor, weight: Tensor, bias: Tensor | None, rectify: bool
) -> Tensor:
    """Convolution, zero-padded to the same length.

    Args:
        form: Tile size.
        x: (B, T, I).
        weight: (O, I, 3).
        bias: (O,).
        rectify: Whether negative values are set to zero.

    Returns:
        (B, T, O), contiguous.
    """
    batch, num_snippets, num_inputs = x.shape
    num_outputs = len(weight)
    points = form.transform_weight(weight)
    blocks = _blocks(form, batch, num_snippets, max(num_inputs, num_outputs))
    values = _buffer(form, x, blocks, num_inputs)
    products = _buffer(form, x, blocks, num_outputs)
    result = x.new_empty(batch, num_snippets, num_outputs)
    for block in blocks:
        size = block[-1].place.stop
        for section in block:
            form.transform_inputs(_inputs(form, x, section), section.of(values))
        torch.bmm(values[:, :size], points.mT, out=products[:, :size])
        for section in block:
            outputs = form.transform_products(section.of(products))
            start = section.tiles.start * form.outputs
            target = result[section.videos, start : start + outputs.shape[1]]
            outputs = outputs[:, : target.shape[1]]  # the last tile may reach beyond the end
            if bias is None:
                target.copy_(outputs)
            else:
                torch.add(outputs, bias, out=target)
            if rectify:
                target.clamp_(min=0)
    return result


def parameter_gradients(
    form: Winograd, x: Tensor, gradient: Tensor, rectified: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients of the weights (O, I, 3) and of the bias (O,).

    Args:
        form: Tile size.
        x: (B, T, I) input.
        gradient: (B, T, O) gradient of the output.
        rectified: (B, T, O) the output, if it was rectified.
    """
    batch, num_snippets, num_inputs = x.shape
    num_outputs = gradient.shape[2]
    blocks = _blocks(form, batch, num_snippets, max(num_inputs, num_outputs))
    values = _buffer(form, x, blocks, num_inputs)
    gradients = _buffer(form, x, blocks, num_outputs)
    total = x.new_empty(form.products, num_outputs, num_inputs)
    to_bias = x.new_zeros(num_outputs)
    for number, block in enumerate(blocks):
        size = block[-1].place.stop
        for section in block:
            form.transform_inputs(_inputs(form, x, section), section.of(values))
            rows = _gradients(form, gradient, rectified, section)
            to_bias += rows.sum(dim=(0, 1))
            form.transform_gradients(rows, section.of(gradients))
        # With beta = 0, what the memory held before is ignored, even NaN.
        total.baddbmm_(gradients[:, :size].mT, values[:, :size], beta=int(number > 0))
    return form.weight_gradient(total), to_bias


def gradient_of_relu(gradient: Tensor, rectified: Tensor, result: Tensor) -> None:
    """Writes the gradient, or zero where the output of ReLU is zero, into `result`."""
    torch.ops.aten.threshold_backward.grad_input(gradient, rectified, 0, grad_input=result)


def _inputs(form: Winograd, x: Tensor, section: Section) -> Tensor:
    """The inputs (v, j m + 2, I) of a section of x (B, T, I), zero outside of the videos."""
    start = section.tiles.start * form.outputs - 1
    videos, tiles = section.shape
    result = x.new_empty(videos, tiles * form.outputs + 2, x.shape[2])
    inside, source = _overlap(result, start, x.shape[1])
    result[:, inside] = x[section.videos, source]
    return result


def _gradients(
    form: Winograd, gradient: Tensor, rectified: Tensor | None, section: Section
) -> Tensor:
    """The gradients (v, j m, O) of a section before ReLU, zero beyond the end of the videos."""
    start = section.tiles.start * form.outputs
    videos, tiles = section.shape
    result = gradient.new_empty(videos, tiles * form.outputs, gradient.shape[2])
    inside, source = _overlap(result, start, gradient.shape[1])
    if rectified is None:
        result[:, inside] = gradient[section.videos, source]
    else:
        of_output = gradient[section.videos, source], rectified[section.videos, source]
        gradient_of_relu(*of_output, result[:, inside])
    return result


def _overlap(rows: Tensor, start: int, length: int) -> tuple[slice, slice]:
    """Zeroes the rows (v, R, C) that lie outside of videos of this length.

    Returns:
        The others, as a range of the rows and as a range of the videos.
    """
    first, last = max(-start, 0), min(length - start, rows.shape[1])
    rows[:, :first] = 0
    rows[:, last:] = 0
    return slice(first, last), slice(start + first, start + last)


def _blocks(form: Winograd, batch: int, num_snippets: int, channels: int) -> list[list[Section]]:
    """All tiles, in blocks of nearly equal size that are multiplied at a time."""
    tiles = -(-num_snippets // form.outputs)
    most = min(max(winograd.SECTION_VALUES // channels, 1), BLOCK_TILES)
    number = -(-batch * tiles // BLOCK_TILES)
    blocks: list[list[Section]] = [[] for _ in range(number)]
    done = 0
    for videos in ranges(batch, max(most // tiles, 1)):
        for part in ranges(tiles, most):
            block = blocks[done * number // (batch * tiles)]
            start = block[-1].place.stop if block else 0
            count = (videos.stop - videos.start) * (part.stop - part.start)
            block.append(Section(videos, part, slice(start, start + count)))
            done += count
    return [block for block in blocks if block]


def _buffer(form: Winograd, like: Tensor, blocks: list[list[Section]], channels: int) -> Tensor:
    """(n, tiles of the largest block, channels), uninitialized."""
    return like.new_empty(form.products, max(b[-1].place.stop for b in blocks), channels)
