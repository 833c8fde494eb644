"""The environment of a run: package versions, machine, commit of the code."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "wandb")


def describe_environment() -> dict[str, object]:
    """Versions of Python and the packages, the platform and the git commit, as plain values."""
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "platform": platform.platform(),
        "commit": _commit(),
    }


def command_line(program: str | None = None) -> str:
    """The command line of this process, as one can type it again.

    Args:
        program: How the program is started, without its arguments; by default `python` and the
            name of its file.
    """
    program = program or f"python {shlex.quote(Path(sys.argv[0]).name)}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of this repository, with "+" appended if files were changed; None without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
