"""A full or read-only disk: one clear error, and existing files stay intact."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eval.detection import command as detection_command
from record.checkpoint import read_checkpoint, save_checkpoint
from tests.bad_inputs.case import BASE, DETECTION, MAIN, RESUME, TEST
from tests.bad_inputs.run import make_good
from tests.disks import read_only, small_disk, small_files
from tests.program import run_main
from utils.errors import UserError
from utils.files import append_line, write_json, write_text


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with valid data and a finished run."""
    monkeypatch.chdir(tmp_path)
    make_good(tmp_path)
    return tmp_path


def run(flags: str, status: int = 0) -> str:
    printed = run_main([*BASE[MAIN].split(), *flags.split()], status)
    assert "Traceback" not in printed
    return printed


def content(size: int) -> dict[str, object]:
    """Content of a checkpoint of about `size` bytes."""
    return {"epoch": 1, "model_state_dict": {"w": torch.arange(size // 8), "v": torch.ones(3)}}


WRITERS: dict[str, Callable[[Path, int], object]] = {
    "text": lambda path, size: write_text(path, "x" * size),
    "json": lambda path, size: write_json(path, ["x" * size]),
    "checkpoint": lambda path, size: save_checkpoint(path, content(size)),
}


@pytest.mark.parametrize("size", [10_001, 12_000, 30_000, 300_000])
@pytest.mark.parametrize("kind", list(WRITERS))
def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, kind: str, size: int) -> None:
    path, write = tmp_path / "file", WRITERS[kind]
    write(path, 1000)
    before = path.read_bytes()
    with small_files(10_000), pytest.raises(UserError, match=r"cannot write .*free some space"):
        write(path, size)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write(path, size)
    assert len(path.read_bytes()) >= size


def test_a_line_is_appended_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with small_files(1000):
        append_line(path, "a" * 600)
        for size in (300, 500, 5000):
            with pytest.raises(UserError, match=r"cannot write .*metrics.jsonl.*unchanged"):
                append_line(path, "b" * max(400, size))
            assert path.read_text() == "a" * 600 + "\n"
        append_line(path, "c" * 398)
    assert path.read_text() == "a" * 600 + "\n" + "c" * 398 + "\n"


def test_a_run_stopped_by_a_full_disk_resumes_when_there_is_space(good: Path) -> None:
    latest, more = Path("done/THUMOS_latest.pth"), f"{RESUME} --force --epochs 4"
    before = latest.read_bytes()
    with small_files(len(before) - 1000):
        assert "cannot write done/THUMOS_latest.pth" in run(more, status=2)
    assert latest.read_bytes() == before
    assert read_checkpoint(latest)["epoch"] == 2
    assert not list(Path("done").glob(".*"))
    run(more)
    lines = Path("done/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [4096, 12_288, 20_480, 45_056])
def test_a_small_disk_ends_in_one_error(good: Path, size: int) -> None:
    with small_disk("run", size):
        printed = run("", status=2)
        assert "cannot write run/" in printed
        assert printed.count("error:") == 1
        for path in Path("run").glob("*.pth"):
            read_checkpoint(path)
        for path in Path("run").glob("*.jsonl"):
            assert all(json.loads(line)["epoch"] for line in path.read_text().splitlines())
        assert not list(Path("run").glob(".*"))


@pytest.mark.parametrize("flags", ["", f"{TEST} --report", "--save_dir done --resume --force"])
def test_a_read_only_folder_is_one_error_and_nothing_changes(good: Path, flags: str) -> None:
    before = {path: path.read_bytes() for path in good.rglob("*") if path.is_file()}
    with read_only(good):
        assert "error: cannot write" in run(flags, status=2)
    assert before == {path: path.read_bytes() for path in good.rglob("*") if path.is_file()}


def test_printing_into_a_full_disk_is_one_error(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full does not exist here")
    monkeypatch.setattr(sys, "argv", [DETECTION, *BASE[DETECTION].split()])
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            detection_command.main()
    assert end.value.code == 2
    message = (
        "eval.detection: error: output: No space left on device; check the path and the disk\n"
    )
    assert capsys.readouterr().err == message
