"""Checkpoint files of this program and of the official implementation: save, read, restore."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataset.video_names import is_text
from utils.errors import UserError, first_line
from utils.files import write_atomically
from utils.seed import restore_random_state
from utils.tensor_files import read_tensors

# What a checkpoint must contain to resume training from it, and the types; likewise its "best".
TRAINING_STATE: dict[str, type] = {
    "optimizer": dict,
    "random": list,
    "config": dict,
    "epoch": int,
    "best": dict,
}
BEST: dict[str, type] = {"name": str, "score": float, "epoch": int}
RESTART = "copy it again, or start a new run without --resume"


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: Checkpoint file.
        content: Tensors and plain values; at least `epoch` and `model_state_dict`, as in the
            checkpoints of the official implementation.
    """
    write_atomically(path, lambda file: torch.save(dict(content), file))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint into CPU memory, without executing code contained in the file.

    Raises:
        UserError: If the file is missing, damaged or not a checkpoint, or if it contains anything
            but tensors and plain values.
    """
    content = read_tensors(path, "checkpoint", "check --checkpoint")
    weights = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in weights.items()
    ):
        raise UserError(
            f'checkpoint {path} has no "model_state_dict" of tensors; wanted a file written by '
            "this program or by the official implementation"
        )
    config = content.get("config", {})
    if not isinstance(config, dict) or not _is_plain_value(config):
        raise UserError(f'checkpoint {path}: "config" is not a dictionary of settings')
    return content


def stored_classes(checkpoint: Mapping[str, Any], source: Path | str) -> tuple[str, ...] | None:
    """The class names in index order that a checkpoint stores; None if it stores none.

    Args:
        checkpoint: Result of `read_checkpoint`.
        source: Checkpoint file, for messages.

    Raises:
        UserError: If they are not a list of different names.
    """
    names = checkpoint.get("classes")
    if names is None:
        return None
    valid = isinstance(names, list | tuple) and all(
        isinstance(name, str) and name and is_text(name) for name in names
    )
    if not valid or not names or len(set(names)) < len(names):
        raise UserError(
            f'checkpoint {source}: "classes" is not a list of different class names; copy it again'
        )
    return tuple(names)


def read_training_state(path: Path) -> dict[str, Any]:
    """Reads a checkpoint from which training can be resumed.

    Raises:
        UserError: As `read_checkpoint`, and if the checkpoint is for evaluation only or damaged.
    """
    content = read_checkpoint(path)
    missing = sorted(TRAINING_STATE.keys() - content.keys())
    if missing:
        raise UserError(
            f"--resume: {path} is a checkpoint for evaluation only (no {', '.join(missing)}); "
            "wanted the latest checkpoint of a run"
        )
    best = content["best"]
    valid = {name: isinstance(content[name], kind) for name, kind in TRAINING_STATE.items()}
    valid["best"] = valid["best"] and all(
        isinstance(best.get(name), kind) for name, kind in BEST.items()
    )
    wrong = [name for name, is_valid in valid.items() if not is_valid]
    if wrong or content["epoch"] < 1:
        raise UserError(f"--resume: {path} is damaged ({', '.join(wrong) or 'epoch'}); {RESTART}")
    return content


def restore_training(
    state: Mapping[str, Any],
    source: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    rank: int = 0,
) -> None:
    """Restores the state of network, optimizer and random generators from a checkpoint.

    The settings of the optimizer, such as its learning rate, stay as they are.

    Args:
        state: Result of `read_training_state`.
        source: Checkpoint file, for messages.
        net: Network to restore.
        optimizer: Optimizer to restore.
        generator: Generator for the data to restore.
        rank: Rank of this process.

    Raises:
        UserError: If the state does not fit.
    """
    load_weights(net, state["model_state_dict"], source)
    groups = [dict(group) for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(optimizer.param_groups, groups, strict=True):
            group.update({name: value for name, value in own.items() if name != "params"})
        _check_optimizer(optimizer)
        restore_random_state(state["random"], generator, rank)
    except Exception as error:  # torch checks little of this and raises many types of errors
        raise UserError(
            f"--resume: {source} is damaged ({first_line(error)}); {RESTART}"
        ) from error


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raises a ValueError unless every state tensor is a scalar or has its parameter's shape."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            fits = isinstance(value, Tensor) and value.shape in ((), parameter.shape)
            if not fits or not _is_dense_float(value):
                raise ValueError(f"{name} of the optimizer does not fit its parameter")


def load_weights(
    net: nn.Module,
    weights: Mapping[str, Tensor],
    source: Path,
    *,
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
) -> list[str]:
    """Loads weights strictly: all names and shapes must match.

    Args:
        net: Network to load the weights into.
        weights: Tensors by parameter name.
        source: Checkpoint file, for messages.
        allow_missing: Prefixes of parameters that may be missing (they keep their values).
        allow_unexpected: Prefixes of weights that the network may not have (they are ignored).

    Returns:
        Names of the parameters that kept their values.

    Raises:
        UserError: If names, shapes or types differ, listing them, or if a weight is not finite.
    """
    own = net.state_dict()
    missing = [name for name in own if name not in weights]
    unexpected = [name for name in weights if name not in own]
    kept = [name for name in missing if name.startswith(tuple(allow_missing))]
    ignored = [name for name in unexpected if name.startswith(tuple(allow_unexpected))]
    differences = [f"{name} is missing" for name in missing if name not in kept]
    differences += [f"{name} is not in the network" for name in unexpected if name not in ignored]
    differences += [
        f"{name} has shape {tuple(weights[name].shape)}, in the network {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    used = {name: weights[name] for name in own if name in weights}
    differences += [
        f"{name} contains {weight.dtype}, wanted floating point"
        for name, weight in used.items()
        if not _is_dense_float(weight)
    ]
    if differences:
        listed = "\n".join(f"  - {line}" for line in differences[:20])
        raise UserError(
            f"checkpoint {source} does not fit the network of this run (another network or other "
            f"features); choose another checkpoint or other settings:\n{listed}"
        )
    for name, weight in used.items():
        if not weight.float().isfinite().all():
            raise UserError(
                f"checkpoint {source}: {name} has NaN or infinite values; its training diverged, "
                "use an earlier checkpoint or train with a lower --lr"
            )
    net.load_state_dict({**own, **used})
    return kept


def _is_plain_value(value: object, depth: int = 4) -> bool:
    """Whether JSON could represent the value, nested no deeper than settings are."""
    if isinstance(value, dict) and depth:
        return all(isinstance(k, str) and _is_plain_value(v, depth - 1) for k, v in value.items())
    if isinstance(value, list | tuple) and depth:
        return all(_is_plain_value(item, depth - 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _is_dense_float(weight: Tensor) -> bool:
    """Whether the tensor holds floating-point values, neither sparse nor without storage (meta)."""
    return weight.is_floating_point() and weight.layout == torch.strided and not weight.is_meta
