"""Progress bars, shown only on a terminal."""

from typing import Any

from tqdm import tqdm


def progress_bar(total: int, unit: str, description: str | None = None) -> "tqdm[Any]":
    """A progress bar on standard error, hidden unless that is a terminal.

    Args:
        total: Number of steps; with 0 the bar is hidden too.
        unit: What is counted, such as "video".
        description: Text in front of the bar.
    """
    hidden = None if total else True  # None: hidden unless standard error is a terminal
    return tqdm(total=total, unit=unit, desc=description, disable=hidden)
