"""How a setting is declared, one field per line, and how its value is checked."""

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field
from typing import Any, get_args, get_origin

from utils.errors import UserError, shown

BY_DATASET = MISSING  # the default is in the `DatasetSpec` of the data set
BY_STAGE = MISSING  # the default is in `config.model_config.STAGES`
LARGEST = 10**9  # upper limit of integers that have none of their own: no tensor can be larger
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "at_least": (">=", operator.ge),
    "above": (">", operator.gt),
    "at_most": ("<=", operator.le),
    "below": ("<", operator.lt),
}

SettingField = Field[Any]


def group(title: str, *, in_checkpoint: bool = False) -> Callable[..., Any]:
    """Returns the function that declares the settings of one group of the command line.

    Args:
        title: Heading of the group in `--help`.
        in_checkpoint: Default of the argument of the same name for the settings of this group.
    """

    def setting(
        default: Any,
        comment: str,
        *,
        flag: str = "",
        in_checkpoint: bool = in_checkpoint,
        free_on_resume: bool = False,
        **limits: Any,
    ) -> Any:
        """Declares one setting.

        Args:
            default: Its default; `BY_DATASET` or `BY_STAGE` if it depends on the data set or the
                stage.
            comment: Description, with the unit.
            flag: Name on the command line and in files, where it is not the name of the field.
            in_checkpoint: Whether testing a checkpoint takes the value that it was trained with.
            free_on_resume: Whether a run may be resumed with another value.
            limits: at_least, above, at_most, below, choices, plain (a name without / or \\),
                metavar.
        """
        metadata = {
            "group": title,
            "comment": comment,
            "flag": flag,
            "in_checkpoint": in_checkpoint,
            "free_on_resume": free_on_resume,
            **limits,
        }
        return field(default=default, metadata=metadata)

    return setting


def flag_of(setting: SettingField) -> str:
    """The name of a setting on the command line, in config.json and in checkpoints."""
    return setting.metadata["flag"] or setting.name


def range_text(limits: Any) -> str:
    """The range of a setting, such as ">= 0, < 1"; "" if any value is allowed."""
    return ", ".join(
        f"{sign} {limits[name]:g}" for name, (sign, _) in _RANGES.items() if name in limits
    )


def check_settings(config: Any, settings: Iterable[SettingField]) -> None:
    """Checks the type and the range of every value.

    Raises:
        UserError: For the first wrong value, naming flag, value and range.
    """
    for setting in settings:
        _check(f"--{flag_of(setting)}", getattr(config, setting.name), setting)


def _check(flag: str, values: Any, setting: SettingField) -> None:
    several = get_origin(setting.type) is tuple
    kind: Any = get_args(setting.type)[0] if several else setting.type
    if several and not (isinstance(values, tuple) and (values or setting.default == ())):
        raise UserError(f"{flag} {values!r}: wanted at least one value")
    for value in values if several else (values,):
        _check_type(flag, value, kind)
        _check_range(flag, value, setting.metadata)


def _check_type(flag: str, value: Any, kind: type) -> None:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{flag} {value!r}: wanted a value of type {kind.__name__}")


def _check_range(flag: str, value: Any, limits: Any) -> None:
    if "choices" in limits and value not in limits["choices"]:
        known = ", ".join(str(choice) for choice in limits["choices"])
        raise UserError(f"{flag} {value}: unknown; known are {known}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{flag} {value}: wanted a finite number")
    if isinstance(value, int) and "below" not in limits and value > LARGEST:
        raise UserError(f"{flag} {shown(value)}: must be <= {LARGEST:g}")
    if not all(inside(value, limits[r]) for r, (_, inside) in _RANGES.items() if r in limits):
        raise UserError(f"{flag} {value}: must be {range_text(limits)}")
    if limits.get("plain") and (not value or set(value) & set("/\\\0") or value in {".", ".."}):
        raise UserError(f"{flag} {value!r}: wanted a plain name without / or \\")
