"""Tries a bad input: checks what is printed and which files change."""

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import main_thu
from eval.detection import command as detection_command
from record.checkpoint import read_checkpoint
from tests.bad_inputs.case import DETECTION, MAIN, TEST, BadInput
from tests.data_folder import make_data
from tests.program import run_main

PROGRAMS = {MAIN: main_thu.main, DETECTION: detection_command.main}


def make_good(folder: Path) -> None:
    """Creates the valid files listed in the docstring of `BadInput`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(Path("data"))
        run_main([*BadInput("").arguments, "--save_dir", "done"])
        shutil.copy("done/THUMOS_latest.pth", "good.pth")
        run_main(BadInput("", TEST).arguments)
        Path("good_predictions.json").rename("pred.json")


def message_of(case: BadInput, good: Path, folder: Path) -> str:
    """Makes the mistake in a copy of the valid folder and checks how the program ends.

    Args:
        case: Mistake to try.
        good: Folder made by `make_good`.
        folder: Folder to copy it to.

    Returns:
        The error message, without "<program>: error: ".
    """
    shutil.copytree(good, folder, dirs_exist_ok=True)
    printed, head = io.StringIO(), f"{case.program}: error: "
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [case.program, *case.arguments])
        case.spoil()
        before = _files()
        with (
            case.around(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(printed),
            pytest.raises(SystemExit) as end,
        ):
            PROGRAMS[case.program]()
        after = _files()
        for path in case.leaves:
            _assert_complete(Path(path))
    assert end.value.code == 2, printed.getvalue()
    assert "Traceback" not in printed.getvalue()
    assert head in printed.getvalue(), printed.getvalue()
    assert {path for path, content in after.items() if before.get(path) != content} == set(
        case.leaves
    )
    assert not before.keys() - after.keys()
    return printed.getvalue().partition(head)[2].rstrip("\n")


def _files() -> dict[str, bytes]:
    """Content of every file in the working directory and below, by path."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def _assert_complete(path: Path) -> None:
    """Checks that a file is a valid checkpoint, JSON or JSON lines."""
    if path.suffix == ".pth":
        read_checkpoint(path)
        return
    text = path.read_text()
    for value in text.splitlines() if path.suffix == ".jsonl" else [text]:
        json.loads(value)
