"""Dropout with cheap masks on the CPU."""

import torch
from torch import Tensor, nn

LEVELS = 2**16  # number of distinct 16-bit random values


class Dropout(nn.Dropout):
    """`nn.Dropout`, on the CPU with a mask drawn from 16 random bits per element.

    PyTorch draws the mask element by element, which takes longer than a bfloat16 matrix product.
    The probability of dropping agrees with that of the library to 1 / 65,536, and the
    kept elements are scaled by the probability with which they are really kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zeroes each element with probability p in training and scales the others; same shape."""
        if not self.draws_bits(x):
            return super().forward(x)
        return x * self._mask(_random_bits(x), x)

    def of_rows(self, x: Tensor, rows: Tensor) -> Tensor:
        """Some rows of `self(x)` for x (N, D), in (K, D), without the time for the others.

        Args:
            x: Input for which `draws_bits` is true. The mask is drawn for all of it.
            rows: (K,) int64, different rows in ascending order.
        """
        chosen = x.index_select(0, rows)
        return chosen * self._mask(_random_bits(x).index_select(0, rows), chosen)

    def draws_bits(self, x: Tensor) -> bool:
        """Whether the mask of this input is drawn from random bits, not by the library."""
        return self.training and x.is_cpu and 0 < self._kept < LEVELS

    @property
    def _kept(self) -> int:
        """The number of levels at which an element is kept."""
        return round((1 - self.p) * LEVELS)

    def _mask(self, bits: Tensor, x: Tensor) -> Tensor:
        """The factor of every element of x."""
        # The comparison writes numbers: multiplying by a Boolean mask takes far longer.
        mask = torch.lt(bits, self._kept - LEVELS // 2, out=torch.empty_like(x))
        return mask.mul_(LEVELS / self._kept)


def _random_bits(x: Tensor) -> Tensor:
    """Random int16 values in the shape of x."""
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.int16)[: x.numel()].view(x.shape)
