"""Checkpoint files: ours, and those of the released code."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError
from utils.files import write_atomically
from utils.seed import restore_random_state

# What a training needs to go on, and of what kind it is; likewise of its best epoch.
RESUMABLE: dict[str, type] = {
    "optimizer": dict,
    "random": list,
    "config": dict,
    "epoch": int,
    "best": dict,
}
BEST: dict[str, type] = {"name": str, "score": float, "epoch": int}
ANEW = "copy it again, or start anew without --resume"


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
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is refused: it is damaged or holds Python objects whose loading "
            "could run code; wanted only tensors and plain values"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(
            f"checkpoint {path} cannot be read ({_first_line(error)}); "
            "it may be cut off, copy it again"
        ) from error
    weights = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in weights.items()
    ):
        raise UserError(
            f'checkpoint {path} has no "model_state_dict" of tensors; wanted a file that this '
            "program or the released code wrote"
        )
    config = content.get("config", {})
    if not isinstance(config, dict) or not _is_plain_value(config):
        raise UserError(f'checkpoint {path}: "config" is not a dictionary of settings')
    return content


def read_training_state(path: Path) -> dict[str, Any]:
    """Reads a checkpoint that a training can go on from.

    Raises:
        UserError: as `read_checkpoint`, and if it is one for evaluation only, or damaged.
    """
    content = read_checkpoint(path)
    missing = sorted(RESUMABLE.keys() - content.keys())
    if missing:
        raise UserError(f"--resume: {path} lacks {', '.join(missing)}; it cannot go on")
    best = content["best"]
    kinds = {name: isinstance(content[name], kind) for name, kind in RESUMABLE.items()}
    kinds["best"] = kinds["best"] and all(
        isinstance(best.get(name), kind) for name, kind in BEST.items()
    )
    wrong = [name for name, fits in kinds.items() if not fits]
    if wrong or content["epoch"] < 1:
        raise UserError(f"--resume: {path} is damaged ({', '.join(wrong) or 'epoch'}); {ANEW}")
    return content


def restore_training(
    state: Mapping[str, Any],
    source: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    rank: int = 0,
) -> None:
    """Puts network, optimizer and random generators back to where a checkpoint was written.

    The settings of the optimizer, such as its learning rate, stay as they are.

    Args:
        state: what `read_training_state` returned.
        source: its file, for messages.
        net, optimizer, generator: receive the state.
        rank: of this process among those of the run.

    Raises:
        UserError: if the state does not fit.
    """
    load_weights(net, state["model_state_dict"], source)
    groups = [dict(group) for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(optimizer.param_groups, groups, strict=True):
            group.update({name: value for name, value in own.items() if name != "params"})
        _check_optimizer(optimizer)
        restore_random_state(state["random"], generator, rank)
    except Exception as error:  # torch checks little of them, and what it says is of many kinds
        raise UserError(f"--resume: {source} is damaged ({_first_line(error)}); {ANEW}") from error


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raises a ValueError unless each tensor has one value, or as many as its parameter."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            fits = isinstance(value, Tensor) and value.shape in ((), parameter.shape)
            if not fits or not _is_plain(value):
                raise ValueError(f"{name} of the optimizer does not fit its parameter")


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
        UserError: listing the names, shapes and types that differ; if a weight is not finite.
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
    used = {name: weights[name] for name in own if name in weights}
    differences += [
        f"{name} holds {w.dtype}, not floats" for name, w in used.items() if not _is_plain(w)
    ]
    if differences:
        listed = "\n".join(f"  - {line}" for line in differences[:20])
        raise UserError(
            f"checkpoint {source} is of another network or other features than this run; "
            f"choose another file or settings:\n{listed}"
        )
    for name, weight in used.items():
        if not weight.float().isfinite().all():
            raise UserError(
                f"checkpoint {source}: {name} has NaN or infinite values; that training diverged, "
                "use a checkpoint from before or train with a lower --lr"
            )
    net.load_state_dict({**own, **used})
    return kept


def _is_plain_value(value: object, depth: int = 4) -> bool:
    """True for what JSON could hold too, nested not deeper than settings are."""
    if isinstance(value, dict) and depth:
        return all(isinstance(k, str) and _is_plain_value(v, depth - 1) for k, v in value.items())
    if isinstance(value, list | tuple) and depth:
        return all(_is_plain_value(item, depth - 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _is_plain(weight: Tensor) -> bool:
    """True for a tensor of floats that has values: neither sparse nor without storage (meta)."""
    return weight.is_floating_point() and weight.layout == torch.strided and not weight.is_meta


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
