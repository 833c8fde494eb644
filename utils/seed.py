"""Random generators: one seed in, every generator's state out."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int, rank: int = 0) -> torch.Generator:
    """Seeds the generators of Python, numpy and torch (all devices).

    Args:
        seed: of the run.
        rank: of this process; each draws dropout masks of its own.

    Returns:
        A generator of its own on the CPU for what is drawn from the data (rows, order, pairs), so
        that it does not depend on the device or on how often the network draws dropout masks. It
        is the same in all processes.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  for libraries that draw from the global state
    torch.manual_seed((seed + 1_000_003 * rank) % 2**63)
    return torch.Generator().manual_seed(seed)


def random_state(data_generator: torch.Generator) -> dict[str, Any]:
    """State of the generators that a run draws from, as tensors that a checkpoint can hold."""
    state: dict[str, Any] = {"data": data_generator.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # a run on the CPU leaves the GPU alone
        state["cuda"] = torch.cuda.get_rng_state()  # of the device of this process
    return state


def restore_random_state(
    states: list[dict[str, Any]], data_generator: torch.Generator, rank: int = 0
) -> None:
    """Puts the generators back into a state that `random_state` returned.

    Args:
        states: of every process; one that had none goes on with other dropout masks.
        data_generator: goes on alike in all processes.
        rank: of this process.
    """
    data_generator.set_state(states[0]["data"])
    if rank < len(states):
        torch.set_rng_state(states[rank]["torch"])
        if torch.cuda.is_initialized() and "cuda" in states[rank]:
            torch.cuda.set_rng_state(states[rank]["cuda"])
