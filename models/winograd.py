"""Winograd's convolution over time with three taps: fewer products than one per tap.

A tile of m outputs takes m + 2 products of its n = m + 2 inputs instead of 3 m: inputs and taps are
read as polynomials, evaluated at n points (0, pairs +a and -a, infinity) and multiplied there, and
the m outputs are combinations of the products. In matrices, for one channel,

    y = A^T ((G w) * (B^T x))

with inputs x (n), taps w (3), outputs y (m). The sum over the channels moves to the points, where
it is one matrix product per point over all tiles. The gradient of the taps takes as many products:
G^T ((A dy) * (B^T x)), summed over the tiles. As the points come in pairs, every matrix is applied
as sums and differences of an even and an odd part.

This file holds the four transforms; `models.winograd_conv` convolves with them.

Letters: v videos with j tiles each, I input and O output channels, C channels of either.
Source: S. Winograd: Arithmetic complexity of computations (SIAM 1980); A. Lavin, S. Gray: Fast
algorithms for convolutional neural networks (CVPR 2016).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

SECTION_VALUES = 2**17  # of a tensor transformed at a time: 512 KiB in float32, for the cache


@dataclass(frozen=True)
class Winograd:
    """The transforms of one tile size.

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

    def transform_weight(self, weight: Tensor) -> Tensor:
        """G w: (O, I, 3) -> (n, O, I)."""
        result = weight.new_empty(self.products, *weight.shape[:2])
        for part in ranges(len(weight), SECTION_VALUES // weight.shape[1]):
            first, second, third = weight[part].permute(2, 0, 1).contiguous()
            result[0, part] = first
            result[-1, part] = third
            pairs = zip(_pairs(result[:, part]), self.positive_points, strict=True)
            for (plus, minus), point in pairs:
                even = torch.add(first, third, alpha=point**2)
                torch.add(even, second, alpha=point, out=plus)
                torch.add(even, second, alpha=-point, out=minus)
        return result

    def weight_gradient(self, products: Tensor) -> Tensor:
        """G^T, the transpose of `transform_weight`: (n, O, I) -> (O, I, 3)."""
        _, num_outputs, num_inputs = products.shape
        result = products.new_empty(num_outputs, num_inputs, 3)
        for part in ranges(num_outputs, SECTION_VALUES // num_inputs):
            first, third = products[0, part].clone(), products[-1, part].clone()
            second = torch.zeros_like(first)
            pairs = zip(_pairs(products[:, part]), self.positive_points, strict=True)
            for (plus, minus), point in pairs:
                even = plus + minus
                first.add_(even)
                third.add_(even, alpha=point**2)
                second.add_(torch.sub(plus, minus, out=even), alpha=point)
            torch.stack((first, second, third), dim=2, out=result[part])
        return result

    def transform_inputs(self, rows: Tensor, result: Tensor) -> None:
        """B^T x: inputs (v, j m + 2, I), of which adjacent tiles share two -> (n, v, j, I)."""
        length = rows.shape[1] - 2
        at = [rows[:, i : i + length : self.outputs] for i in range(self.products)]
        _combine(zip(self._all_roots, at[::2], strict=True), result[0])
        _combine(zip(self._all_roots, at[1::2], strict=True), result[-1])
        even, odd = torch.empty_like(result[0]), torch.empty_like(result[0])
        pairs = zip(_pairs(result), self.positive_points, self._other_roots, strict=True)
        for (plus, minus), point, others in pairs:
            _combine(zip(others, at[2::2], strict=True), even)
            _combine(zip(others, at[1:-1:2], strict=True), odd)
            torch.add(even, odd, alpha=point, out=plus)
            torch.add(even, odd, alpha=-point, out=minus)

    def transform_products(self, products: Tensor) -> Tensor:
        """A^T: (n, v, j, O) -> outputs (v, j m, O)."""
        _, videos, tiles, channels = products.shape
        sums = [plus + minus for plus, minus in _pairs(products)]
        differences = [plus - minus for plus, minus in _pairs(products)]
        result = products.new_empty(videos, tiles, self.outputs, channels)
        for i, weights in enumerate(self._output_weights):
            terms = list(zip(weights, differences if i % 2 else sums, strict=True))
            if i == 0:
                terms.append((self._zero_weight, products[0]))
            if i == self.outputs - 1:
                terms.append((1.0, products[-1]))
            _combine(terms, result[:, :, i])
        return result.flatten(1, 2)

    def transform_gradients(self, rows: Tensor, result: Tensor) -> None:
        """A dy, the transpose of `transform_products`: (v, j m, O) -> (n, v, j, O)."""
        at = [rows[:, i :: self.outputs] for i in range(self.outputs)]
        torch.mul(at[0], self._zero_weight, out=result[0])
        result[-1] = at[-1]
        even, odd = torch.empty_like(result[0]), torch.empty_like(result[0])
        for (plus, minus), *weights in zip(_pairs(result), *self._output_weights, strict=True):
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
        """(m, pairs): weights of the products at each pair in the outputs.

        Even outputs take the sum of the two products, odd ones their difference. The weights
        include the denominators of Lagrange's interpolation, which are usually a part of G.
        """
        denominators = [
            2 * a**2 * prod(a**2 - b**2 for b in self.positive_points if b != a)
            for a in self.positive_points
        ]
        pairs = list(zip(self.positive_points, denominators, strict=True))
        return [[a**i / denominator for a, denominator in pairs] for i in range(self.outputs)]


def ranges(length: int, most: int) -> Iterator[slice]:
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


def _pairs(points: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The entries of (n, ...) for +a and -a, pair by pair."""
    middle = points[1:-1]
    return zip(middle[::2].unbind(), middle[1::2].unbind(), strict=True)


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
