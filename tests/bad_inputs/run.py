"""Tries a bad input: checks what is printed and which files change."""

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

import pytest

import main_thu
import predict
from eval.detection import command as detection_command
from eval.report import command as report_command
from eval.scores_file import read_scores
from extraction import command as extraction_command
from record.checkpoint import read_checkpoint
from tests.bad_inputs.case import (
    DETECTION,
    EXTRACTION,
    MAIN,
    PREDICT,
    REPORT,
    TEST,
    BadInput,
)
from tests.data_folder import LABELS, make_data
from tests.program import run_main
from utils.files import write_json

PROGRAMS = {
    MAIN: main_thu.main,
    DETECTION: detection_command.main,
    REPORT: report_command.main,
    PREDICT: predict.main,
    EXTRACTION: extraction_command.main,
}


def make_good(folder: Path) -> None:
    """Creates the valid files listed in the docstring of `BadInput`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(Path("data"))
        run_main([*BadInput("").arguments, "--save_dir", "done"])
        shutil.copy("done/THUMOS_latest.pth", "good.pth")
        run_main(BadInput("", TEST).arguments)
        predictions = json.loads(Path("good_predictions.json").read_text())
        Path("good_predictions.json").unlink()
        Path("good_scores.npz").rename("scores.npz")
        found = {"label": LABELS[0], "score": 0.1, "segment": [0.0, 1.0]}  # a known class
        predictions["results"]["video_test_0000000"].append(found)
        write_json(Path("pred.json"), predictions)


def message_of(case: BadInput, good: Path, folder: Path) -> str:
    """Makes the mistake in a copy of the valid folder and checks how the program ends.

    Args:
        case: Mistake to try.
        good: Folder made by `make_good`.
        folder: Folder to copy it to.

    Returns:
        The error message, without "<program>: error: ", or the warnings, without "warning: ".
    """
    shutil.copytree(good, folder, dirs_exist_ok=True)
    output, printed, head = io.StringIO(), io.StringIO(), f"{case.program}: error: "
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [case.program, *case.arguments])
        case.spoil()
        before = _files()
        with (
            case.around(),
            redirect_stdout(output),
            redirect_stderr(printed),
            pytest.raises(SystemExit) as end,
        ):
            _run(case.program)
        after = _files()
        for path in case.leaves:
            _assert_complete(Path(path))
    assert "Traceback" not in printed.getvalue()
    assert end.value.code == (0 if case.warning else case.status), printed.getvalue()
    assert case.warning or head in printed.getvalue(), printed.getvalue()
    assert {path for path, content in after.items() if before.get(path) != content} == set(
        case.leaves
    )
    assert not before.keys() - after.keys()
    if case.warning:
        warnings = [w for w in output.getvalue().splitlines() if w.startswith("warning: ")]
        assert warnings, output.getvalue()
        return "\n".join(line.removeprefix("warning: ") for line in warnings)
    return printed.getvalue().partition(head)[2].rstrip("\n")


def _run(program: str) -> NoReturn:
    """Runs the program and exits with its status."""
    PROGRAMS[program]()
    sys.exit(0)


def _files() -> dict[str, bytes]:
    """Content of every file in the working directory and below, by path."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def _assert_complete(path: Path) -> None:
    """Checks that a file is a valid checkpoint or file of scores, JSON or JSON lines."""
    if path.suffix == ".pth":
        read_checkpoint(path)
        return
    if path.suffix == ".npz":
        read_scores(path)
        return
    text = path.read_text()
    for value in text.splitlines() if path.suffix == ".jsonl" else [text]:
        json.loads(value)
