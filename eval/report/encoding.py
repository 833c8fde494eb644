"""Numbers and names for a page: arrays as base64, JSON that no browser takes for markup."""

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# What would end a script element or, in old browsers, a line of it. JSON knows these escapes.
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def packed(values: ArrayLike, kind: str) -> dict[str, str]:
    """An array for the script of the page, which unpacks it into a typed array.

    Args:
        values: Numbers of any shape, taken row by row.
        kind: Type of each number: u1, u2, u4, i2, i4 or f4.

    Raises:
        ValueError: If a whole number does not fit into the type.
    """
    array = np.asarray(values).ravel()
    if kind[0] in "ui" and array.size:
        limits = np.iinfo(kind)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"{array.min()} to {array.max()} do not fit into {kind}")
    small = np.ascontiguousarray(array.astype(f"<{kind}"))
    return {"type": kind, "data": base64.b64encode(small.tobytes()).decode("ascii")}


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever the names in it are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for letter, escape in ESCAPES.items():
        text = text.replace(letter, escape)
    return text
