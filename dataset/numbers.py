"""Numbers in JSON files, which many tools write as strings."""

import math
from typing import Any


def number_of(value: Any) -> float | None:
    """The finite number that a JSON value holds, also as a string; None if it holds none.

    JSON allows integers that are too large for a float; these are none either.
    """
    if isinstance(value, bool) or not isinstance(value, float | int | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def index_of(value: Any) -> int | None:
    """The integer that a JSON value holds, also as 5.0 or a string; None if it holds none."""
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else None
