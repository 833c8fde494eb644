"""Reads files written by `torch.save` without executing code that they contain."""

import pickle
from pathlib import Path
from typing import Any

import torch

from utils.errors import UserError, first_line


def read_tensors(path: Path, what: str, advice: str) -> Any:
    """Reads a file of tensors and plain values into CPU memory.

    Args:
        path: File written by `torch.save`.
        what: What the file is, for messages, such as "checkpoint".
        advice: What to do if it does not exist, such as "check --checkpoint".

    Raises:
        UserError: If the file is missing or damaged, or if it contains anything but tensors and
            plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{what} {path} does not exist; {advice}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{what} {path} is refused: it is damaged or contains Python objects whose loading "
            "could execute code; wanted only tensors and plain values"
        ) from error
    except Exception as error:  # torch raises many types of errors for a damaged file
        raise UserError(
            f"{what} {path} cannot be read ({first_line(error)}); "
            "it may be truncated, copy it again"
        ) from error
