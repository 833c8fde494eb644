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
        kept = round((1 - self.p) * LEVELS)
        if not self.training or not x.is_cpu or not 0 < kept < LEVELS:
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        # The comparison writes numbers: multiplying by a Boolean mask takes far longer.
        mask = torch.lt(bits, kept - LEVELS // 2, out=torch.empty_like(x))
        return x * mask.mul_(LEVELS / kept)
