"""Named losses, and their weighted sum: the one place where weights are applied."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Losses = dict[str, Tensor]


class Terms(NamedTuple):
    """Output of a criterion.

    Attributes:
        losses: Unweighted scalar losses by name.
        logged: Scalars that are only logged.
    """

    losses: Losses
    logged: dict[str, Tensor]


def weighted_sum(losses: Losses, weights: Mapping[str, float]) -> Tensor:
    """The total loss.

    Raises:
        KeyError: If a loss has no weight.
    """
    missing = sorted(losses.keys() - weights.keys())
    if missing:
        raise KeyError(f"no weight for the loss {', '.join(missing)}; add it to build.loss_weights")
    # Skip multiplying by 1: it costs a kernel launch and changes nothing.
    return torch.stack(
        [loss if weights[name] == 1 else weights[name] * loss for name, loss in losses.items()]
    ).sum()
