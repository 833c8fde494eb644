"""Tries a bad input: what is printed, and which files change."""

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
    """Fills a folder with what `BadInput` says is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(Path("data"))
        run_main([*BadInput("").arguments, "--save_dir", "done"])
        shutil.copy("done/THUMOS_latest.pth", "good.pth")
        run_main(BadInput("", TEST).arguments)
        Path("good_predictions.json").rename("pred.json")


def message_of(case: BadInput, good: Path, folder: Path) -> str:
    """Makes the mistake in a copy of the good folder; checks that the program ends as it should.

    Returns:
        What is printed after "<program>: error: ".
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
            _assert_whole(Path(path))
    assert end.value.code == 2, printed.getvalue()
    assert "Traceback" not in printed.getvalue()
    assert head in printed.getvalue(), printed.getvalue()
    assert {path for path, content in after.items() if before.get(path) != content} == set(
        case.leaves
    )
    assert not before.keys() - after.keys()
    return printed.getvalue().partition(head)[2].rstrip("\n")


def _files() -> dict[str, bytes]:
    """Every file below the working directory."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def _assert_whole(path: Path) -> None:
    """A file that was left is a checkpoint that loads, or JSON, a value a file or a line."""
    if path.suffix == ".pth":
        read_checkpoint(path)
        return
    text = path.read_text()
    for value in text.splitlines() if path.suffix == ".jsonl" else [text]:
        json.loads(value)
