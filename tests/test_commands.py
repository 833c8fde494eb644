"""Every command runs by its path and as a module, and ends quietly if nobody reads its output."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from utils.errors import UserError, command

ROOT = Path(__file__).parents[1]
PACKAGES = ("eval", "dataset", "record", "config")
# Every module that is meant to be run, as its path.
COMMANDS = sorted(
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
SIGPIPE_STATUS = 141  # of a program that SIGPIPE ends, in a shell


def python(
    arguments: Sequence[str],
    folder: Path = ROOT,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    unbuffered: str = "",
) -> subprocess.CompletedProcess[str]:
    """Runs Python without the search path of the tests."""
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONUNBUFFERED"] = unbuffered
    words = [sys.executable, *arguments]
    return subprocess.run(
        words, cwd=folder, env=environment, stdout=stdout, stderr=stderr, text=True
    )


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end for writing of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_the_commands_are_found() -> None:
    assert {"eval/detection/__main__.py", "eval/summary.py", "record/summary.py"} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_runs_by_its_path_and_as_a_module(path: str) -> None:
    module = path.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
    as_module = python(["-m", module, "--help"])
    assert as_module.returncode == 0, as_module.stderr
    folder = (ROOT / path).parent
    for start, where in ((path.removesuffix("/__main__.py"), ROOT), (Path(path).name, folder)):
        by_path = python([start, "--help"], where)
        assert (by_path.returncode, by_path.stdout) == (0, as_module.stdout), by_path.stderr


SHORT = ["main_thu.py", "main_act.py", "tools/ablation.py", "record/summary.py", "eval/detection"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("path", SHORT)
def test_help_without_a_reader_ends_quietly(path: str, unbuffered: str, closed_pipe: int) -> None:
    ended = python([path, "--help"], stdout=closed_pipe, unbuffered=unbuffered)
    assert ended.stderr == ""
    assert ended.returncode in (0, SIGPIPE_STATUS)  # argparse ignores that it cannot write


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_without_a_reader_ends_quietly(unbuffered: str, closed_pipe: int) -> None:
    ended = python(["config/command_line.py"], stdout=closed_pipe, unbuffered=unbuffered)
    assert (ended.returncode, ended.stderr) == (SIGPIPE_STATUS, "")


def test_a_mistake_is_reported_though_nobody_reads_the_output(closed_pipe: int) -> None:
    ended = python(["main_thu.py", "--epochs", "0"], stdout=closed_pipe)
    assert ended.returncode == 2
    assert ended.stderr == "main_thu.py: error: --epochs 0: must be >= 1\n"
    ended = python(["main_thu.py", "--epochs", "0"], stdout=closed_pipe, stderr=closed_pipe)
    assert ended.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device of a full disk")
def test_a_full_disk_is_an_error_with_help_too() -> None:
    with open("/dev/full", "w") as full:
        ended = python(["record/summary.py", "--help"], stdout=full.fileno())
    assert ended.returncode == 2
    assert ended.stderr.startswith("record.summary: error: output: No space left on device")


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), UserError("a mistake")])
def test_what_was_printed_before_is_flushed(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    @command("program")
    def main() -> None:
        print("before")
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    expected = (SIGPIPE_STATUS, "") if isinstance(error, OSError) else (2, "program: error: a mist")
    printed = capsys.readouterr()
    assert printed.out == "before\n"
    assert (ended.value.code, printed.err[:22]) == expected
