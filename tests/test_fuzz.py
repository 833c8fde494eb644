"""Damaged files: whatever is in them, the programs do their work or end with their own error."""

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
    damaged,
    damaged_checkpoint,
    damaged_json,
    damaged_npy,
    odd_checkpoint,
)

Bytes = st.SearchStrategy[bytes]
VIDEO = "video_test_0000000"
SCORE = [DETECTION, *BASE[DETECTION].split()]
EVALUATE = [MAIN, *BASE[MAIN].split(), *TEST.split()]
GO_ON = [MAIN, *BASE[MAIN].split(), *RESUME.split(), "--force"]


@dataclass(frozen=True)
class Target:
    """A file, how it is damaged, the command that reads it, and the share of the examples."""

    path: str
    damage: Callable[[bytes], Bytes]
    command: list[str]
    share: int


def bytes_or_structure(good: bytes) -> Bytes:
    return st.one_of(damaged(good), damaged_json(good), damaged_json(good))


def bytes_or_header(good: bytes) -> Bytes:
    return st.one_of(damaged(good), damaged_npy(), damaged_npy().flatmap(damaged))


TARGETS = {
    "annotations, evaluating": Target("data/gt.json", bytes_or_structure, EVALUATE, 3),
    "annotations, scoring": Target("data/gt.json", bytes_or_structure, SCORE, 3),
    "split": Target("data/split_test.txt", damaged, EVALUATE, 3),
    "features": Target(f"data/test/{VIDEO}.npy", bytes_or_header, EVALUATE, 4),
    "predictions": Target("pred.json", bytes_or_structure, SCORE, 4),
    "checkpoint": Target("good.pth", damaged_checkpoint, EVALUATE, 1),
    "checkpoint, content": Target("good.pth", odd_checkpoint, EVALUATE, 1),
    "checkpoint to go on from": Target("done/THUMOS_latest.pth", odd_checkpoint, GO_ON, 1),
}
SHARES = sum(target.share for target in TARGETS.values())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, in which everything is as it should be."""
    folder, before = tmp_path_factory.mktemp("good"), Path.cwd()
    make_good(folder)
    predictions = json.loads((folder / "pred.json").read_text())
    for video, found in predictions["results"].items():
        predictions["results"][video] = found[:3]  # fewer places to damage
    (folder / "pred.json").write_text(json.dumps(predictions))
    os.chdir(folder)
    yield folder
    os.chdir(before)


def check(target: Target, examples: int, same_every_time: bool) -> None:
    """Damages the file so many times; any error but our own is raised, with the smallest file."""
    path = Path(target.path)
    good = path.read_bytes()

    @settings(
        max_examples=examples,
        derandomize=same_every_time,
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


@pytest.mark.filterwarnings("ignore::UserWarning")  # numpy and torch remark on odd files
@pytest.mark.parametrize("name", list(TARGETS))
def test_a_damaged_file_ends_in_our_own_error(good: Path, name: str) -> None:
    check(TARGETS[name], 300 * TARGETS[name].share // SHARES, same_every_time=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", list(TARGETS))
def test_many_damaged_files_end_in_our_own_error(good: Path, name: str) -> None:
    check(TARGETS[name], 5000 * TARGETS[name].share // SHARES, same_every_time=False)
