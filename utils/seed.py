"""Random generators: one seed in, every generator's state out."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seeds the generators of Python, numpy and torch (all devices).

    Returns:
        A generator of its own on the CPU for what is drawn from the data (rows, order, pairs), so
        that it does not depend on the device or on how often the network draws dropout masks.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  for libraries that draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def random_state(data_generator: torch.Generator) -> dict[str, Any]:
    """State of the generators that a run draws from, as tensors that a checkpoint can hold."""
    state: dict[str, Any] = {"data": data_generator.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any], data_generator: torch.Generator) -> None:
    """Puts the generators back into a state that `random_state` returned.

    Those of CUDA devices that this machine does not have are left out.
    """
    data_generator.set_state(state["data"])
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
