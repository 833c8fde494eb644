"""Damaged files: whatever they contain, the programs work or report an error of their own."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_inputs.case import BASE, DETECTION, MAIN, RESUME, TEST
from tests.bad_inputs.run import PROGRAMS, make_good
from tests.mutations import (
    altered_checkpoint,
    damaged,
    damaged_checkpoint,
    damaged_json,
    damaged_npy,
)

Bytes = st.SearchStrategy[bytes]
VIDEO = "video_test_0000000"
EVALUATE_FILE = [DETECTION, *BASE[DETECTION].split()]
TEST_CHECKPOINT = [MAIN, *BASE[MAIN].split(), *TEST.split()]
CONTINUE = [MAIN, *BASE[MAIN].split(), *RESUME.split(), "--force"]


@dataclass(frozen=True)
class Target:
    """A file, how it is damaged, the command that reads it, and its share of the examples."""

    path: str
    damage: Callable[[bytes], Bytes]
    command: list[str]
    share: int


def bytes_or_structure(good: bytes) -> Bytes:
    return st.one_of(damaged(good), damaged_json(good), damaged_json(good))


def bytes_or_header(good: bytes) -> Bytes:
    return st.one_of(damaged(good), damaged_npy(), damaged_npy().flatmap(damaged))


TARGETS = {
    "annotations, testing": Target("data/gt.json", bytes_or_structure, TEST_CHECKPOINT, 3),
    "annotations, evaluating": Target("data/gt.json", bytes_or_structure, EVALUATE_FILE, 3),
    "split": Target("data/split_test.txt", damaged, TEST_CHECKPOINT, 3),
    "features": Target(f"data/test/{VIDEO}.npy", bytes_or_header, TEST_CHECKPOINT, 4),
    "predictions": Target("pred.json", bytes_or_structure, EVALUATE_FILE, 4),
    "checkpoint": Target("good.pth", damaged_checkpoint, TEST_CHECKPOINT, 1),
    "checkpoint, content": Target("good.pth", altered_checkpoint, TEST_CHECKPOINT, 1),
    "checkpoint to resume from": Target("done/THUMOS_latest.pth", altered_checkpoint, CONTINUE, 1),
}
SHARES = sum(target.share for target in TARGETS.values())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, with valid data and a finished run."""
    folder, before = tmp_path_factory.mktemp("good"), Path.cwd()
    make_good(folder)
    predictions = json.loads((folder / "pred.json").read_text())
    for video, found in predictions["results"].items():
        predictions["results"][video] = found[:3]  # fewer entries to damage
    (folder / "pred.json").write_text(json.dumps(predictions))
    os.chdir(folder)
    yield folder
    os.chdir(before)


def check(target: Target, examples: int, reproducible: bool) -> None:
    """Damages the file `examples` times; any other error than ours fails the test."""
    path = Path(target.path)
    good = path.read_bytes()

    @settings(
        max_examples=examples,
        derandomize=reproducible,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.damage(good))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        assert _status(target.command[0]) in (0, 2)
        assert not list(Path().rglob("*.tmp"))

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", target.command)
            run()
    finally:
        path.write_bytes(good)


def _status(program: str) -> int:
    quiet = io.StringIO()
    try:
        with redirect_stdout(quiet), redirect_stderr(quiet):
            PROGRAMS[program]()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.filterwarnings("ignore::UserWarning")  # numpy and torch warn about unusual files
@pytest.mark.parametrize("name", list(TARGETS))
def test_a_damaged_file_is_handled(good: Path, name: str) -> None:
    check(TARGETS[name], 300 * TARGETS[name].share // SHARES, reproducible=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", list(TARGETS))
def test_many_damaged_files_are_handled(good: Path, name: str) -> None:
    check(TARGETS[name], 5000 * TARGETS[name].share // SHARES, reproducible=False)
