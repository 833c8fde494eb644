"""Starts main_thu.py and reads the metrics of its runs, for the scripts in this directory."""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from config.datasets import THUMOS14
from eval.detection.average_precision import average_name
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
MAIN_AVERAGE = average_name(*THUMOS14.main_average)  # of main_thu.py, such as .1-.7
MAIN_METRIC = f"average {MAIN_AVERAGE}"  # its name in metrics.jsonl: mAP in percent


def call(*arguments: object, show: bool = False) -> float:
    """Runs Python with the given arguments in the repository.

    Args:
        arguments: Script, or -m and a module, and its flags.
        show: Whether to show what the command prints on standard output.

    Returns:
        Wall-clock time in seconds.

    Raises:
        UserError: If the command fails; it has printed why.
    """
    command = [sys.executable, *map(str, arguments)]
    print("+ python", *command[1:], file=sys.stderr, flush=True)
    start = time.perf_counter()
    output = None if show else subprocess.DEVNULL
    status = subprocess.run(command, cwd=ROOT, check=False, stdout=output).returncode
    if status:
        raise UserError(f"{shlex.join(command)} ended with status {status}; see its message above")
    return time.perf_counter() - start


def train(run_dir: Path, epochs: int, *flags: object) -> float:
    """Trains one stage with main_thu.py, without wandb.

    Args:
        run_dir: Run directory.
        epochs: Number of epochs.
        flags: Further flags of main_thu.py.

    Returns:
        Wall-clock time in seconds.
    """
    run = ("--without_wandb", "--save_dir", run_dir, "--epochs", epochs)
    return call("main_thu.py", *run, *flags)


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The metrics of every finished epoch of a run; empty if it has none yet."""
    path = run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
