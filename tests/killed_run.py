"""Runs main_thu.py and sends its own process a signal at a chosen point.

    python tests/killed_run.py SIGNAL POINT COUNT [flags of main_thu.py]

SIGNAL: `SIGKILL`, `SIGTERM`, or `SIGINT` for Ctrl-C.
POINT: `write` (half of a checkpoint is written), `fsync` (all of it is written, but not renamed
yet), `rename` (just renamed), `logged` (the metrics of an epoch are written), `metrics` (the
checkpoint after them is about to be written), `step` (within an epoch).
COUNT: At which occurrence of the point, from 1. With several processes, only the main process
receives the signal.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import engine
import record.run_log
from main_thu import main


def kill() -> None:
    if os.environ.get("RANK", "0") == "0":
        os.kill(os.getpid(), signal.Signals[sent])


def countdown(count: int, function: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """The function, with the signal sent before or after its `count`-th call."""
    calls = 0

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if before and calls == count:
            kill()
        result = function(*arguments, **keywords)
        if not before and calls == count:
            kill()
        return result

    return counted


def half_saved(count: int) -> Callable[..., Any]:
    """torch.save, but the `count`-th call writes only half of the file and sends the signal."""
    calls, save = 0, torch.save

    def saved(content: Any, file: Any) -> None:
        nonlocal calls
        calls += 1
        save(content, file)
        if calls == count:
            file.flush()
            file.truncate(file.tell() // 2)
            kill()

    return saved


if __name__ == "__main__":
    sent, point, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    del sys.argv[1:4]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored under some shells
    if point == "write":
        torch.save = half_saved(count)
    elif point == "fsync":
        os.fsync = countdown(count, os.fsync, before=False)
    elif point == "rename":
        os.replace = countdown(count, os.replace, before=False)
    elif point == "logged":
        record.run_log.append_line = countdown(count, record.run_log.append_line, before=False)
    elif point == "metrics":
        record.run_log.save_checkpoint = countdown(
            count, record.run_log.save_checkpoint, before=True
        )
    elif point == "step":
        engine.weighted_sum = countdown(count, engine.weighted_sum, before=True)
    else:
        sys.exit(f"unknown point {point}")
    main()
