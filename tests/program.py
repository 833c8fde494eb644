"""Runs commands inside the test process, which is much faster than starting a new one."""

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout

import pytest

import main_thu


def run_command(
    main: Callable[[], None], name: str, arguments: Sequence[object], status: int = 0
) -> str:
    """Runs a command with these arguments, checks its exit status and returns what it printed."""
    out, found = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            found = int(end.code or 0)
    assert found == status, out.getvalue()
    return out.getvalue()


def run_main(arguments: Sequence[object], status: int = 0) -> str:
    """Runs main_thu.py as `run_command` does."""
    return run_command(main_thu.main, "main_thu.py", arguments, status)
