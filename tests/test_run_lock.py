"""A run directory belongs to one running run, and to none once its process has ended."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from record import run_lock
from record.run_lock import LOCK_FILE, locked, refuse_if_running
from tests.data_folder import make_data
from tests.program import run_main
from utils.errors import UserError

ROOT = Path(__file__).parents[1]
HOLDER = """
import sys, time
from pathlib import Path
from record.run_lock import locked
with locked([Path(sys.argv[1])]):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "TOUCHED_EVERY", 0.02)
    monkeypatch.setattr(run_lock, "WATCHED_FOR", 0.5)


def hold(run_dir: Path) -> "subprocess.Popen[str]":
    """Starts a process that holds the lock of the directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    return process


def leave(run_dir: Path, host: str) -> Path:
    """A lock file as a process on this host leaves it behind."""
    run_dir.mkdir()
    owner = {"process": 12, "host": host, "started": "2024-05-01 12:00:00 +0000"}
    (run_dir / LOCK_FILE).write_text(json.dumps(owner))
    return run_dir / LOCK_FILE


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    process = hold(tmp_path / "run")
    try:
        for attempt in (refuse_if_running, lambda dirs: locked(dirs).__enter__()):
            with pytest.raises(UserError) as raised:
                attempt([tmp_path / "run"])
            for words in (
                f"process {process.pid} on host {platform.node()}, since 20",
                "--resume",
                "--model_name",
            ):
                assert words in str(raised.value)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (tmp_path / "run" / LOCK_FILE).exists()
    with locked([tmp_path / "run"]):
        owner = json.loads((tmp_path / "run" / LOCK_FILE).read_text())
        assert owner["process"] == os.getpid()
    assert not (tmp_path / "run").joinpath(LOCK_FILE).exists()


def test_the_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    refuse_if_running([tmp_path / "a"])
    with locked([tmp_path / "a" / "b", tmp_path / "c"]):
        (tmp_path / "c" / "result").touch()
        with pytest.raises(UserError, match="another run is using"):
            refuse_if_running([tmp_path / "c"])
    assert [path.name for path in tmp_path.rglob("*")] == ["c", "result"]
    with pytest.raises(KeyboardInterrupt), locked([tmp_path / "d"]):
        raise KeyboardInterrupt
    assert not (tmp_path / "d").exists()


def test_the_lock_of_another_host_counts_while_it_is_touched(
    tmp_path: Path, short: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a network file system whose locks the hosts do not share."""
    file = leave(tmp_path / "run", "elsewhere")
    toucher = [
        sys.executable,
        "-c",
        "import os, sys, time\nwhile True: os.utime(sys.argv[1]); time.sleep(.05)",
    ]
    process = subprocess.Popen([*toucher, str(file)])
    try:
        time.sleep(0.2)
        with pytest.raises(UserError, match="process 12 on host elsewhere, since 2024-05-01"):
            refuse_if_running([tmp_path / "run"])
        assert "has the lock of process 12 on host elsewhere" in capsys.readouterr().out
    finally:
        process.kill()
        process.communicate()
    refuse_if_running([tmp_path / "run"])
    assert not file.exists()


def test_a_file_left_behind_on_this_host_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(tmp_path / "run", platform.node())
    began = time.monotonic()
    refuse_if_running([tmp_path / "run"])
    assert time.monotonic() - began < 5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("why", ["no fcntl", "no locks on this file system"])
def test_without_locks_of_the_system_the_touched_file_decides(
    tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    if why == "no fcntl":
        monkeypatch.setattr(run_lock, "fcntl", None)
    else:
        monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
    with locked([tmp_path / "run"]), pytest.raises(UserError, match=f"process {os.getpid()} on"):
        refuse_if_running([tmp_path / "run"])
    leave(tmp_path / "other", platform.node())
    refuse_if_running([tmp_path / "other"])


def test_a_damaged_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    for content in (b"", b"\xff{", b"[1]", b'"x"'):
        (tmp_path / LOCK_FILE).write_bytes(content)
        refuse_if_running([tmp_path])


def test_the_program_refuses_a_directory_in_use_and_changes_nothing(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    run = tmp_path / "run"
    flags = ["--data_dir", data, "--num_snippets", 24, "--device", "cpu", "--without_wandb"]
    flags += ["--save_dir", run]
    run_main([*flags, "--epochs", 1, "--seeds", 1, 2])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    process = hold(run / "seed-2")
    try:
        for more in (["--seeds", 1, 2], ["--seeds", 1, 2, "--resume"]):
            printed = run_main([*flags, "--epochs", 2, *more], status=2)
            assert f"another run is using {run / 'seed-2'}: process {process.pid}" in printed
            assert "features:" not in printed  # refused before they are read
        run_main([*flags, "--epochs", 1, "--seeds", 3])  # another seed beside it
    finally:
        process.kill()
        process.communicate()
    (run / "seed-2" / LOCK_FILE).unlink()
    shutil.rmtree(run / "seed-3")
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
