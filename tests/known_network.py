"""A checkpoint made by hand for the features of `make_data`, so that no training is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from config.datasets import THUMOS14
from models.acmnet import ACMNet
from predict import main
from tests.program import run_command

WIDTH = 16


def known_weights(
    num_classes: int = 20, width: int = WIDTH, input_dropout: float = 0.0
) -> dict[str, torch.Tensor]:
    """Weights of an ACM-Net whose class c is seen in the channels 4 c to 4 c + 3.

    The embedding is the identity, and the instance attention rises with the sum of the channels.
    """
    weights = {
        name: torch.zeros_like(tensor)
        for name, tensor in ACMNet(width, num_classes, input_dropout=input_dropout)
        .state_dict()
        .items()
    }
    embedding = next(weights[name] for name in weights if name.startswith("feature_embedding"))
    embedding[:, :, 1] = torch.eye(width)
    weights["att_branch.weight"][0] = 0.5
    weights["att_branch.bias"][0] = -7.0
    for label in range(min(num_classes, width // 4)):
        weights["snippet_cls.weight"][label, 4 * label : 4 * label + 4] = 0.5
    return weights


def write_checkpoint(path: Path, weights: dict[str, torch.Tensor], **content: Any) -> Path:
    """Writes a checkpoint; with the epoch and the weights alone it is like an official one."""
    torch.save({"epoch": 1, "model_state_dict": weights, **content}, path)
    return path


def run_predict(arguments: Sequence[object], status: int = 0) -> str:
    """Runs predict.py as `run_command` does."""
    return run_command(main, "predict.py", arguments, status)


def stored_config(**settings: Any) -> dict[str, Any]:
    """Settings as a checkpoint stores them, those of THUMOS14 unless given."""
    return {
        "dataset": THUMOS14.name,
        "device": "cpu",
        **{name: _plain(value) for name, value in THUMOS14.defaults.items()},
        **settings,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
