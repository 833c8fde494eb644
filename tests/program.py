"""Runs main_thu.py inside the test process, which is much faster than starting a new one."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import pytest

from main_thu import main


def run_main(arguments: Sequence[object], status: int = 0) -> str:
    """Runs the program with these flags, checks its exit status and returns what it printed."""
    out, found = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", ["main_thu.py", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            found = int(end.code or 0)
    assert found == status, out.getvalue()
    return out.getvalue()
