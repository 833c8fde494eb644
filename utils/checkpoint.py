"""Checkpoint files: ours, and those of the released code."""

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError
from utils.files import write_atomically


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: the file.
        content: tensors and plain values; at least `epoch` and `model_state_dict`, as in the
            released checkpoints.
    """
    write_atomically(path, lambda file: torch.save(dict(content), file))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; code in the file is never run.

    Raises:
        UserError: if the file is missing, damaged, holds more than tensors and plain values, or is
            no checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"checkpoint {path} does not exist; check --checkpoint") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is refused: it is damaged or holds Python objects whose loading "
            "could run code; wanted only tensors and plain values"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({_first_line(error)}); "
            "it may be cut off, copy it again"
        ) from error
    weights = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise UserError(
            f'checkpoint {path} has no "model_state_dict" of tensors; wanted a file that this '
            "program or the released code wrote"
        )
    return content


def load_weights(
    net: nn.Module,
    weights: Mapping[str, Tensor],
    source: Path,
    *,
    may_lack: Iterable[str] = (),
    may_have: Iterable[str] = (),
) -> list[str]:
    """Loads weights strictly: every name and shape must agree.

    Args:
        net: receives the weights.
        weights: by parameter name.
        source: the file, for messages.
        may_lack: prefixes of parameters that may be missing (they keep their values).
        may_have: prefixes of weights that may be there though the network has none (ignored).

    Returns:
        Names of the parameters that kept their values.

    Raises:
        UserError: listing the names and shapes that differ.
    """
    own = net.state_dict()
    missing = [name for name in own if name not in weights]
    surplus = [name for name in weights if name not in own]
    kept = [name for name in missing if name.startswith(tuple(may_lack))]
    ignored = [name for name in surplus if name.startswith(tuple(may_have))]
    differences = [f"{name} is missing" for name in missing if name not in kept]
    differences += [f"{name} is unknown here" for name in surplus if name not in ignored]
    differences += [
        f"{name} has shape {tuple(weights[name].shape)}, the network {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if differences:
        listed = "\n".join(f"  - {line}" for line in differences[:20])
        raise UserError(
            f"checkpoint {source} is of another network or other features than this run; "
            f"choose another file or settings:\n{listed}"
        )
    net.load_state_dict({**own, **{name: weights[name] for name in own if name in weights}})
    return kept


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
