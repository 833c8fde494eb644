"""A run can be stopped at any point: resumed, it gives the same bits as an uninterrupted run."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from record import run_log
from record.checkpoint import read_checkpoint, save_checkpoint
from tests.data_folder import make_data
from tests.program import run_main
from utils.distributed import all_processes
from utils.errors import UserError
from utils.interrupts import interrupts_wait

ROOT = Path(__file__).parents[1]
EPOCHS = 5
STAGES = {"acmnet": ["--lr", "3e-3"], "ftcl": ["--ftcl", "--resample_pairs", "--fc_dim", "8"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "thumos", train=12, test=7)


def command(data: Path, folder: Path, stage: str, *more: str) -> list[str]:
    flags = ["--data_dir", str(data), "--save_dir", str(folder), "--num_snippets", "24"]
    flags += ["--device", "cpu", "--without_wandb", "--checkpoint_seconds", "0"]
    return [*flags, "--epochs", str(EPOCHS), *STAGES[stage], *more]


def start(script: list[str], arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *script, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", status: int) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return out + err


def run(data: Path, folder: Path, stage: str, *more: str, status: int = 0) -> str:
    return run_main(command(data, folder, stage, *more), status)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    for stage in STAGES:
        run(data, folder / stage, stage)
    return {stage: folder / stage for stage in STAGES}


def without_times(metrics: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("seconds/")} for line in lines]


def assert_same(folder: Path, expected: Path, epochs: int = EPOCHS) -> None:
    """The same bits in weights and optimizer of both checkpoints, and the same metrics."""
    assert without_times(folder / "metrics.jsonl") == without_times(expected / "metrics.jsonl")
    assert len(without_times(folder / "metrics.jsonl")) == epochs
    for name in ("THUMOS_latest.pth", "THUMOS_best.pth"):
        found, wanted = read_checkpoint(folder / name), read_checkpoint(expected / name)
        assert found["epoch"] == wanted["epoch"]
        for part in {"model_state_dict", "optimizer", "random", "best"} & wanted.keys():
            assert_equal(found[part], wanted[part])
    assert not list(folder.glob(".*.tmp"))


def assert_equal(found: Any, wanted: Any) -> None:
    if isinstance(wanted, torch.Tensor):
        assert found.equal(wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_equal(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("stage", "point", "count"),
    [
        ("ftcl", "write", 4),
        pytest.param("acmnet", "metrics", 3, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_bits(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path], stage: str, point: str, count: int
) -> None:
    folder = tmp_path / "run"
    killed = ["tests/killed_run.py", "SIGKILL", point, str(count)]
    finish(start(killed, command(data, folder, stage)), -signal.SIGKILL)
    run(data, folder, stage, "--resume")
    assert_same(folder, uninterrupted[stage])


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(STAGES))
@pytest.mark.parametrize("point", ["write", "fsync", "rename", "metrics", "step"])
@pytest.mark.parametrize("count", [2, 5])
def test_a_run_killed_at_any_point_resumes_to_the_same_bits(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path], stage: str, point: str, count: int
) -> None:
    test_a_killed_run_resumes_to_the_same_bits(data, tmp_path, uninterrupted, stage, point, count)


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_run_killed_again_and_again_at_random_moments_gives_the_same_bits(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path], stage: str
) -> None:
    folder, moments = tmp_path / "run", random.Random(0)
    for _ in range(20):
        more = ["--resume"] if (folder / "config.json").exists() else []
        process = start(["main_thu.py"], command(data, folder, stage, *more))
        wait_for_lines(process, folder, moments.randint(0, EPOCHS - 1))
        time.sleep(moments.random() * 0.3)
        process.kill()
        process.communicate()
    run(data, folder, stage, "--resume")
    assert_same(folder, uninterrupted[stage])


def wait_for_lines(process: "subprocess.Popen[str]", folder: Path, lines: int) -> None:
    """Waits until this many epochs are logged (0: the run has started) or the process has ended."""
    wanted = folder / ("metrics.jsonl" if lines else "config.json")
    while process.poll() is None:
        if wanted.exists() and len(wanted.read_text().splitlines()) >= lines:
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "point", "count"),
    [
        ("SIGINT", "logged", 2),
        pytest.param("SIGTERM", "step", 3, marks=pytest.mark.slow),
        pytest.param("SIGINT", "step", 3, marks=pytest.mark.slow),
    ],
)
def test_after_ctrl_c_the_run_resumes_to_the_same_bits(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path], sent: str, point: str, count: int
) -> None:
    """In the third epoch, or after the metrics of the second are written but not its checkpoint."""
    folder = tmp_path / "run"
    # No checkpoint is due for an hour: the one found after Ctrl-C was saved because of it.
    flags = command(data, folder, "acmnet", "--checkpoint_seconds", "3600")
    printed = finish(start(["tests/killed_run.py", sent, point, str(count)], flags), 130)
    assert "--resume" in printed
    assert "Traceback" not in printed
    assert read_checkpoint(folder / "THUMOS_latest.pth")["epoch"] == 2
    run(data, folder, "acmnet", "--resume")
    assert_same(folder, uninterrupted["acmnet"])


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), UserError("ten in a row")], ids=str)
def test_repeated_ctrl_c_does_not_prevent_the_run_from_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: BaseException
) -> None:
    """Ctrl-C repeatedly while the last checkpoint is written; the first exception propagates."""

    def save_and_interrupt(path: Path, content: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGINT)
        save_checkpoint(path, content)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run_log, "save_checkpoint", save_and_interrupt)
    log = run_log.RunLog(
        tmp_path,
        "THUMOS",
        {},
        checkpoint_seconds=3600,
        wandb_project=None,
        wandb_group="",
        wandb_name="",
    )
    log.end_epoch(1, {"loss/total": 1.0}, None, {"model_state_dict": {}}, {})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(type(reason)), log:
            raise reason
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert read_checkpoint(tmp_path / "THUMOS_latest.pth")["epoch"] == 1


def test_sigterm_acts_as_ctrl_c_while_the_program_runs() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with all_processes():
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_is_delayed_too_if_the_program_handles_it() -> None:
    """With SIGTERM torchrun informs a process that the others are gone."""

    def end(*_: object) -> None:
        raise UserError("asked to end")

    done = []

    @interrupts_wait()
    def block() -> None:
        signal.raise_signal(signal.SIGTERM)
        done.append("the rest of it")

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(UserError, match="asked to end"):
            block()
        assert done
        assert signal.getsignal(signal.SIGTERM) is end
        with interrupts_wait(act=False):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_resuming_a_finished_run_changes_nothing(
    data: Path, uninterrupted: dict[str, Path]
) -> None:
    folder = uninterrupted["acmnet"]
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    assert "the run has finished its 5 epochs" in run(data, folder, "acmnet", "--resume")
    assert before == {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"}


def test_other_settings_or_data_are_refused(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path]
) -> None:
    folder = uninterrupted["acmnet"]
    printed = run(data, folder, "acmnet", "--resume", "--lr", "0.5", "--dropout", "0.5", status=2)
    assert "lr: 0.003 before, 0.5 now" in printed
    assert "dropout: 0.7 before, 0.5 now" in printed
    other = make_data(tmp_path / "other", train=12, test=7, seed=1)
    printed = run(other, folder, "acmnet", "--resume", status=2)
    assert re.search(r"- data test sha256: '\w{64}' before, '\w{64}' now", printed)
    assert "data test videos" not in printed  # their number is unchanged
    assert "there is no run in" in run(data, tmp_path / "none", "acmnet", "--resume", status=2)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        os.link(path, copy / path.name)
    run(data, copy, "acmnet", "--resume", "--epochs", "6")  # --epochs may differ
    assert [line["epoch"] for line in without_times(copy / "metrics.jsonl")] == list(range(1, 7))


def test_testing_on_other_data_warns(
    data: Path, tmp_path: Path, uninterrupted: dict[str, Path]
) -> None:
    halved, more = tmp_path / "halved", make_data(tmp_path / "more", train=12, test=9)
    shutil.copytree(data, halved)
    for file in (halved / "test").glob("*.npy"):
        np.save(file, np.load(file).astype(np.float16))
    checkpoint = tmp_path / "f.pth"
    os.link(uninterrupted["acmnet"] / "THUMOS_latest.pth", checkpoint)
    for folder, warnings in (
        (data, []),
        (halved, ["the test data differ", "the same number of videos and snippets"]),
        (more, ["the annotations data differ", "the test data differ", "7 videos then, 9 now"]),
    ):
        flags = ["--data_dir", str(folder), "--test", "--checkpoint", str(checkpoint)]
        printed = run_main(flags)
        assert printed.count("warning: ") == sum(words.endswith("differ") for words in warnings)
        assert all(words in printed for words in warnings)
