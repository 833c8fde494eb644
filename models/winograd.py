"""Winograd's convolution over time with three taps: fewer products than one per tap.

A tile of m outputs needs m + 2 products of its n = m + 2 inputs instead of 3 m: the inputs and the
taps are read as polynomials, evaluated at n points (0, pairs +a and -a, infinity) and multiplied
there, and the m outputs are combinations of the products. In matrices, for one channel,

    y = A^T ((G w) * (B^T x))

with inputs x (n), taps w (3), outputs y (m). The sum over the channels moves to the points, where
it is one matrix product per point over all tiles. The gradient of the taps takes as many products:
G^T ((A dy) * (B^T x)), summed over the tiles. As the points come in pairs, every matrix is applied
as sums and differences of an even and an odd part.

Tiles are transformed a few at a time, so that the intermediate values stay in the cache, and
multiplied by the block, so that memory does not grow with the number of videos.

Letters: B videos, T snippets, I input and O output channels; v videos and j tiles of a section.
Source: A. Lavin, S. Gray: Fast algorithms for convolutional neural networks (CVPR 2016); S.
Winograd: Arithmetic complexity of computations (SIAM 1980).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_TILES = 1024  # multiplied at a time: enough for the full speed of a matrix product
SECTION_VALUES = 2**17  # values of one input of the tiles transformed at a time: 512 KiB in float32


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
        """Number of videos and of tiles of each video (v, j)."""
        return self.videos.stop - self.videos.start, self.tiles.stop - self.tiles.start


@dataclass(frozen=True)
class Winograd:
    """Convolutions with three taps, zero-padded to the same length, and their gradients.

    Attributes:
        positive_points: The points a > 0; with each of them goes -a. One, two and three points give
            tiles of m = 2, 4 and 6 outputs, named F(2, 3), F(4, 3) and F(6, 3).
    """

    positive_points: tuple[float, ...]

    @property
    def outputs(self) -> int:
        """Outputs of a tile (m)."""
        return 2 * len(self.positive_points)

    @property
    def products(self) -> int:
        """Products, and inputs, of a tile (n = m + 2)."""
        return self.outputs + 2

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, I), weights (O, I, 3) and bias (O,) -> (B, T, O)."""
        points = self.transform_weight(weight)
        batch, num_snippets, num_inputs = x.shape
        num_outputs = len(weight)
        blocks = self._blocks(batch, num_snippets, max(num_inputs, num_outputs))
        values = _buffer(x, self.products, blocks, num_inputs)
        products = _buffer(x, self.products, blocks, num_outputs)
        result = x.new_empty(batch, num_snippets, num_outputs)
        for block in blocks:
            size = block[-1].place.stop
            for section in block:
                self._transform_inputs(x, section, values[:, section.place])
            torch.bmm(values[:, :size], points.mT, out=products[:, :size])
            for section in block:
                outputs = self._transform_products(products[:, section.place], section)
                start = section.tiles.start * self.outputs
                target = result[section.videos, start : start + outputs.shape[1]]
                outputs = outputs[:, : target.shape[1]]  # the last tile may reach beyond the end
                if bias is None:
                    target.copy_(outputs)
                else:
                    torch.add(outputs, bias, out=target)
        return result

    def weight_gradient(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Input (B, T, I) and gradient of the output (B, T, O) -> that of the weights (O, I, 3)."""
        batch, num_snippets, num_inputs = x.shape
        num_outputs = gradient.shape[2]
        blocks = self._blocks(batch, num_snippets, max(num_inputs, num_outputs))
        values = _buffer(x, self.products, blocks, num_inputs)
        gradients = _buffer(x, self.products, blocks, num_outputs)
        total = x.new_empty(self.products, num_outputs, num_inputs)
        for number, block in enumerate(blocks):
            size = block[-1].place.stop
            for section in block:
                self._transform_inputs(x, section, values[:, section.place])
                self._transform_gradients(gradient, section, gradients[:, section.place])
            # With beta = 0, what the memory held before is ignored, even NaN.
            beta = int(number > 0)
            total.baddbmm_(gradients[:, :size].mT, values[:, :size], beta=beta)
        return self._weights_from_points(total)

    def transform_weight(self, weight: Tensor) -> Tensor:
        """(O, I, 3) -> (n, O, I): the taps as a polynomial, evaluated at the points."""
        result = weight.new_empty(self.products, *weight.shape[:2])
        for rows in _ranges(len(weight), SECTION_VALUES // weight.shape[1]):
            first, second, third = weight[rows].permute(2, 0, 1).contiguous()
            result[0, rows] = first
            result[-1, rows] = third
            for (plus, minus), point in zip(
                _pairs(result[:, rows]), self.positive_points, strict=True
            ):
                even = torch.add(first, third, alpha=point**2)
                torch.add(even, second, alpha=point, out=plus)
                torch.add(even, second, alpha=-point, out=minus)
        return result

    def _weights_from_points(self, total: Tensor) -> Tensor:
        """(n, O, I) -> (O, I, 3): the transpose of `transform_weight`."""
        _, num_outputs, num_inputs = total.shape
        result = total.new_empty(num_outputs, num_inputs, 3)
        for rows in _ranges(num_outputs, SECTION_VALUES // num_inputs):
            first, third = total[0, rows].clone(), total[-1, rows].clone()
            second = torch.zeros_like(first)
            for (plus, minus), point in zip(
                _pairs(total[:, rows]), self.positive_points, strict=True
            ):
                even = plus + minus
                first.add_(even)
                third.add_(even, alpha=point**2)
                second.add_(torch.sub(plus, minus, out=even), alpha=point)
            torch.stack((first, second, third), dim=2, out=result[rows])
        return result

    def _transform_inputs(self, x: Tensor, section: Section, result: Tensor) -> None:
        """B^T x: writes the values (n, v * j, I) of the tiles of a section at the points."""
        videos, tiles = section.shape
        start = section.tiles.start * self.outputs - 1
        rows = _rows(x[section.videos], start, tiles * self.outputs + 2)
        at = [rows[:, i : i + tiles * self.outputs : self.outputs] for i in range(self.products)]
        result = result.unflatten(1, (videos, tiles))
        _combine(zip(self._all_roots, at[::2], strict=True), result[0])
        _combine(zip(self._all_roots, at[1::2], strict=True), result[-1])
        even, odd = torch.empty_like(at[0]), torch.empty_like(at[0])
        pairs = zip(_pairs(result), self.positive_points, self._other_roots, strict=True)
        for (plus, minus), point, others in pairs:
            _combine(zip(others, at[2::2], strict=True), even)
            _combine(zip(others, at[1:-1:2], strict=True), odd)
            torch.add(even, odd, alpha=point, out=plus)
            torch.add(even, odd, alpha=-point, out=minus)

    def _transform_products(self, products: Tensor, section: Section) -> Tensor:
        """A^T: products (n, v * j, O) of the tiles of a section -> outputs (v, j * m, O)."""
        products = products.unflatten(1, section.shape)
        sums = [plus + minus for plus, minus in _pairs(products)]
        differences = [plus - minus for plus, minus in _pairs(products)]
        videos, tiles = section.shape
        result = products.new_empty(videos, tiles, self.outputs, products.shape[-1])
        for i, weights in enumerate(self._output_weights):
            terms = list(zip(weights, differences if i % 2 else sums, strict=True))
            if i == 0:
                terms.append((self._zero_weight, products[0]))
            if i == self.outputs - 1:
                terms.append((1.0, products[-1]))
            _combine(terms, result[:, :, i])
        return result.flatten(1, 2)

    def _transform_gradients(self, gradient: Tensor, section: Section, result: Tensor) -> None:
        """A dy: writes the transpose of `_transform_products`, (n, v * j, O)."""
        videos, tiles = section.shape
        start = section.tiles.start * self.outputs
        rows = _rows(gradient[section.videos], start, tiles * self.outputs)
        at = [rows[:, i :: self.outputs] for i in range(self.outputs)]
        result = result.unflatten(1, (videos, tiles))
        torch.mul(at[0], self._zero_weight, out=result[0])
        result[-1] = at[-1]
        even, odd = torch.empty_like(at[0]), torch.empty_like(at[0])
        for (plus, minus), weights in zip(
            _pairs(result), zip(*self._output_weights, strict=True), strict=True
        ):
            _combine(zip(weights[::2], at[::2], strict=True), even)
            _combine(zip(weights[1::2], at[1::2], strict=True), odd)
            torch.add(even, odd, out=plus)
            torch.sub(even, odd, out=minus)

    @cached_property
    def _all_roots(self) -> list[float]:
        """Coefficients of the polynomial in x^2 that is zero at all pairs, lowest power first."""
        return _from_roots([a**2 for a in self.positive_points])

    @cached_property
    def _other_roots(self) -> list[list[float]]:
        """For every pair, those of the polynomial in x^2 that is zero at all other pairs."""
        return [
            _from_roots([b**2 for b in self.positive_points if b != a])
            for a in self.positive_points
        ]

    @cached_property
    def _zero_weight(self) -> float:
        """Weight of the product at the point 0 in output 0: one over the product of all -a^2."""
        return 1 / prod(-(a**2) for a in self.positive_points)

    @cached_property
    def _output_weights(self) -> list[list[float]]:
        """(m, pairs): weights of the products at each pair in the outputs; odd outputs take their
        difference. They include the denominators of Lagrange's interpolation."""
        denominators = [
            2 * a**2 * prod(a**2 - b**2 for b in self.positive_points if b != a)
            for a in self.positive_points
        ]
        pairs = list(zip(self.positive_points, denominators, strict=True))
        return [[a**i / denominator for a, denominator in pairs] for i in range(self.outputs)]

    def _blocks(self, batch: int, num_snippets: int, channels: int) -> list[list[Section]]:
        """All tiles, in blocks that are multiplied at a time."""
        tiles = -(-num_snippets // self.outputs)
        most = min(max(SECTION_VALUES // channels, 1), BLOCK_TILES)
        at_once = max(most // tiles, 1)  # videos
        number = -(-batch * tiles // BLOCK_TILES)
        blocks: list[list[Section]] = [[] for _ in range(number)]
        done = 0
        for videos in _ranges(batch, at_once):
            for part in _ranges(tiles, most):
                block = blocks[done * number // (batch * tiles)]  # of nearly equal size
                start = block[-1].place.stop if block else 0
                count = (videos.stop - videos.start) * (part.stop - part.start)
                block.append(Section(videos, part, slice(start, start + count)))
                done += count
        return [block for block in blocks if block]


def _ranges(length: int, most: int) -> Iterator[slice]:
    """Splits a length into ranges of nearly equal size, at most `most`."""
    number = -(-length // max(most, 1))
    for i in range(number):
        yield slice(length * i // number, length * (i + 1) // number)


def _from_roots(roots: Sequence[float]) -> list[float]:
    """Coefficients of the product of all (x - root), lowest power first."""
    coefficients = [1.0]
    for root in roots:
        shifted = [0.0, *coefficients]
        coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, 0.0], strict=True)]
    return coefficients


def _buffer(like: Tensor, products: int, blocks: list[list[Section]], channels: int) -> Tensor:
    """(n, tiles of the largest block, channels), uninitialized."""
    return like.new_empty(products, max(b[-1].place.stop for b in blocks), channels)


def _pairs(points: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The entries of (n, ...) for +a and -a, pair by pair."""
    middle = points[1:-1]
    return zip(middle[::2].unbind(), middle[1::2].unbind(), strict=True)


def _rows(x: Tensor, start: int, number: int) -> Tensor:
    """A copy (v, number, C) of the rows of x (v, T, C) from `start` on, with zeros outside of x."""
    result = x.new_empty(len(x), number, x.shape[2])
    first, last = max(-start, 0), min(x.shape[1] - start, number)
    result[:, :first] = 0
    result[:, first:last] = x[:, start + first : start + last]
    result[:, last:] = 0
    return result


def _combine(terms: Iterable[tuple[float, Tensor]], result: Tensor) -> None:
    """Writes the sum of the products of numbers and tensors into `result`."""
    (weight, tensor), *others = sorted(terms, key=lambda term: term[0] != 1)
    if weight == 1 and others:
        (second_weight, second), *others = others
        torch.add(tensor, second, alpha=second_weight, out=result)
    else:
        torch.mul(tensor, weight, out=result)
    for weight, tensor in others:
        result.add_(tensor, alpha=weight)
