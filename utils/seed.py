"""Seeds the random generators, and saves and restores their state."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int, rank: int = 0) -> torch.Generator:
    """Seeds the global generators of Python, NumPy and torch on all devices.

    Args:
        seed: Seed of the run.
        rank: Rank of this process; each process draws its own dropout masks.

    Returns:
        A separate CPU generator for everything drawn from the data, so that these draws depend
        neither on the device nor on how often the network draws dropout masks. It is the same in
        all processes.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  for libraries that draw from the global state
    torch.manual_seed((seed + 1_000_003 * rank) % 2**63)
    return torch.Generator().manual_seed(seed)


def random_state(data_generator: torch.Generator) -> dict[str, Any]:
    """State of all generators a run draws from, as tensors that a checkpoint can hold."""
    state: dict[str, Any] = {"data": data_generator.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # a run on the CPU leaves the GPU alone
        state["cuda"] = torch.cuda.get_rng_state()  # device of this process
    return state


def restore_random_state(
    states: list[dict[str, Any]], data_generator: torch.Generator, rank: int = 0
) -> None:
    """Restores states returned by `random_state`.

    Args:
        states: State of every process; a process without one draws other dropout masks.
        data_generator: Generator for the data, restored to the same state in all processes.
        rank: Rank of this process.
    """
    data_generator.set_state(states[0]["data"])
    if rank < len(states):
        torch.set_rng_state(states[rank]["torch"])
        if torch.cuda.is_initialized() and "cuda" in states[rank]:
            torch.cuda.set_rng_state(states[rank]["cuda"])
