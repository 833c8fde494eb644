"""Several processes behave as one: same trajectory, one writer, and all end if one ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from build import build_batches, build_criterion
from config.datasets import THUMOS14
from config.model_config import make_config
from dataset.batches import Batch
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from models.acmnet import ACMNet
from models.ftclnet import FTCLNet
from record.checkpoint import read_checkpoint
from tests.data_folder import make_data
from tests.program import run_main
from tests.several_runs import with_bad_step
from tests.test_resume import assert_same, wait_for_lines, without_times

ROOT = Path(__file__).parents[1]
FROM_FILES = ["--feature_memory", "0"]
NO_DROPOUT = ["--dropout", "0", "--lr", "1e-3"]
FTCL = ["--ftcl", "--fc_dim", "8", "--thres", "0.7", "--lcs_len", "9", *NO_DROPOUT]
# 13 videos in batches of 4 and 36 pairs in batches of 5: the last batch of an epoch has one sample,
# so that the other process has none. At least 24 steps.
TRAJECTORIES = {
    "acmnet": ["--batch_size", "4", "--epochs", "6", *NO_DROPOUT],
    "ftcl": ["--batch_size", "5", "--epochs", "3", *FTCL],
    "paper": ["--batch_size", "5", "--epochs", "3", "--objective", "paper", *FTCL],
    # The projection receives no gradient, and the features are read from their files.
    "control": ["--batch_size", "5", "--epochs", "3", "--without_fsd", *FROM_FILES, *FTCL],
}
BAD_STEP, KILLED_STEP = 6, 13
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "thumos", train=13, test=7)


def command(data: Path, folder: Path, *flags: str) -> list[str]:
    common = ["--data_dir", str(data), "--save_dir", str(folder), "--num_snippets", "24"]
    common += ["--device", "cpu", "--without_wandb", "--checkpoint_seconds", "0"]
    return [*common, *flags]


def torchrun(world_size: int, *script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TORCHRUN, str(world_size), *script],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


class Runs:
    """Several runs, each by `world_size` processes, and what they printed."""

    def __init__(self, data: Path, folder: Path, world_size: int) -> None:
        self.folder = folder
        dropout = ["--batch_size", "4", "--epochs", "4"]
        shorter = ["--batch_size", "4", "--epochs", "2"]
        test = ["--data_dir", str(data), "--device", "cpu", "--test", "--checkpoint"]
        broken = make_data(folder / "broken", train=4, test=4)
        (broken / "train" / "video_train_0000002.npy").write_bytes(b"not an array")
        jobs: list[tuple[str, list[str], int | None]] = [
            *((n, command(data, folder / n, *flags), None) for n, flags in TRAJECTORIES.items()),
            (
                "with_bad_step",
                command(data, folder / "with_bad_step", *TRAJECTORIES["acmnet"]),
                BAD_STEP,
            ),
            ("whole", command(data, folder / "whole", *dropout), None),
            ("half", command(data, folder / "half", *shorter), None),
            ("resumed", command(data, folder / "half", *dropout, "--resume", "--force"), None),
            ("test", [*test, str(folder / "acmnet" / "THUMOS_latest.pth")], None),
            ("broken", command(broken, folder / "none"), None),
            ("diverged", command(data, folder / "r", "--lr", "1e30", "--batch_size", "1"), None),
            ("no folder", command(data, Path("/dev/null/x")), None),
            ("no checkpoint", [*test, "none.pth"], None),
            ("killed", command(data, folder / "killed", *TRAJECTORIES["acmnet"]), KILLED_STEP),
        ]
        file = folder / "jobs.json"
        file.write_text(json.dumps([job[1:] for job in jobs]))
        self.done = torchrun(world_size, "tests/several_runs.py", str(file))
        parts = self.done.stdout.split("ended: ")  # a part starts with how the previous run ended
        assert len(parts) == len(jobs), self.done.stderr
        self.ends = {job[0]: part for job, part in zip(jobs[:-1], parts[1:], strict=True)}


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(data, tmp_path_factory.mktemp("two"), 2)


def assert_close(folder: Path, expected: Path) -> None:
    """The same losses and weights up to rounding."""
    found, wanted = (without_times(f / "metrics.jsonl") for f in (folder, expected))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        for name in other:
            if name.startswith("loss/") or name in ("lcs match share", "skipped steps/guide"):
                assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-5), name
    found, wanted = (
        read_checkpoint(f / "THUMOS_latest.pth")["model_state_dict"] for f in (folder, expected)
    )
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list(TRAJECTORIES))
def test_two_processes_have_the_trajectory_of_one(
    data: Path, runs: Runs, tmp_path: Path, name: str
) -> None:
    run_main(command(data, tmp_path, *TRAJECTORIES[name]))
    assert_close(runs.folder / name, tmp_path)
    assert json.loads((runs.folder / name / "config.json").read_text())["processes"] == 2


def test_a_loss_that_is_not_finite_in_one_process_skips_the_step_in_all(
    data: Path, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiment.build_criterion", with_bad_step(BAD_STEP))
    run_main(command(data, tmp_path, *TRAJECTORIES["acmnet"]))
    assert without_times(tmp_path / "metrics.jsonl")[1]["skipped steps/guide"] == 1
    assert_close(runs.folder / "with_bad_step", tmp_path)


def test_a_resumed_run_gives_the_same_bits(runs: Runs) -> None:
    """With dropout: each process restores its own generator for the masks."""
    for name in ("whole", "half"):
        states = read_checkpoint(runs.folder / name / "THUMOS_latest.pth")["random"]
        assert len(states) == 2
        assert not states[0]["torch"].equal(states[1]["torch"])
    assert_same(runs.folder / "half", runs.folder / "whole", epochs=4)


def test_testing_gives_the_predictions_of_one_process(
    data: Path, runs: Runs, tmp_path: Path
) -> None:
    checkpoint = runs.folder / "acmnet" / "THUMOS_latest.pth"
    found = predictions(checkpoint)
    flags = ["--data_dir", data, "--device", "cpu", "--test", "--checkpoint", checkpoint]
    printed = run_main(flags)
    assert found == predictions(checkpoint)
    table = next(line for line in printed.splitlines() if line.startswith("mAP %"))
    assert table in runs.ends["resumed"]  # this part contains the output of the test


def predictions(checkpoint: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        checkpoint.with_name(f"{checkpoint.stem}_predictions.json").read_text()
    )
    assert len(content["results"]) == 7
    return content


def test_an_error_ends_all_processes_with_one_message(runs: Runs) -> None:
    for name, message in {
        "broken": "is not a complete .npy array",
        "diverged": "10 consecutive steps",
        "no folder": "cannot write",
        "no checkpoint": "checkpoint none.pth does not exist",
    }.items():
        assert message in runs.ends[name].split("\n")[0]
        assert sum(message in part for part in runs.ends.values()) == 1
    assert all(
        runs.ends[name].startswith("successfully") for name in [*TRAJECTORIES, "test", "resumed"]
    )


def test_the_features_are_read_once(runs: Runs) -> None:
    assert (runs.folder / "read-by-0").exists()
    assert not (runs.folder / "read-by-1").exists()


def check_killed(
    done: "subprocess.CompletedProcess[str]", data: Path, folder: Path, reporter: int
) -> None:
    """The other process ended with a message; a single process resumes from the last checkpoint."""
    assert done.returncode != 0
    message = f"main_thu.py: error: process {reporter} of 2 "
    assert message in done.stderr
    assert "Traceback" not in done.stderr.split(message)[0]
    assert f"exitcode  : {-signal.SIGKILL}" in done.stderr  # torchrun reports which one ended first
    assert read_checkpoint(folder / "THUMOS_latest.pth")["epoch"] == 3
    printed = run_main(command(data, folder, *TRAJECTORIES["acmnet"], "--resume"))
    assert "had 2 processes before and has 1" in printed


def test_a_killed_process_ends_the_others(data: Path, runs: Runs) -> None:
    check_killed(runs.done, data, runs.folder / "killed", reporter=0)
    assert_close(runs.folder / "killed", runs.folder / "acmnet")


@pytest.mark.slow
def test_an_error_within_a_step_of_one_process_is_reported_and_ends_the_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATAL", "error")
    file = tmp_path / "jobs.json"
    flags = command(data, tmp_path / "run", *TRAJECTORIES["acmnet"])
    file.write_text(json.dumps([[flags, KILLED_STEP]]))
    done = torchrun(2, "tests/several_runs.py", str(file))
    assert done.returncode != 0
    assert "main_thu.py: error: process 1: out of something" in done.stderr
    assert "main_thu.py: error: process 0 of 2 " in done.stderr
    assert read_checkpoint(tmp_path / "run" / "THUMOS_latest.pth")["epoch"] == 3


@pytest.mark.slow
def test_the_end_of_the_main_process_ends_the_others(data: Path, tmp_path: Path) -> None:
    flags = command(data, tmp_path / "killed", *TRAJECTORIES["acmnet"])
    done = torchrun(2, "tests/killed_run.py", "SIGKILL", "step", "14", *flags)
    check_killed(done, data, tmp_path / "killed", reporter=1)


@pytest.mark.slow
@pytest.mark.parametrize("sent_to", ["all", "torchrun"])
def test_ctrl_c_ends_all_processes_and_saves(data: Path, tmp_path: Path, sent_to: str) -> None:
    """A terminal sends it to all processes at once; a scheduler may send it to torchrun only."""
    folder = tmp_path / "run"
    flags = ["--batch_size", "4", "--epochs", "100000", "--checkpoint_seconds", "3600"]
    process = subprocess.Popen(
        [*TORCHRUN, "2", "main_thu.py", *command(data, folder, *flags)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_lines(process, folder, 3)
    (os.killpg if sent_to == "all" else os.kill)(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "--resume" in printed
    logged = without_times(folder / "metrics.jsonl")
    assert read_checkpoint(folder / "THUMOS_latest.pth")["epoch"] == len(logged) >= 3


@pytest.mark.slow
def test_three_processes_have_the_trajectory_of_one(data: Path, tmp_path: Path) -> None:
    three = Runs(data, tmp_path, 3)
    for name, flags in TRAJECTORIES.items():
        run_main(command(data, tmp_path / "one" / name, *flags))
        assert_close(three.folder / name, tmp_path / "one" / name)
    test_an_error_ends_all_processes_with_one_message(three)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow  # starts two processes
@pytest.mark.parametrize("end", ["", "raise UserError('enough')"])
def test_no_communication_thread_outlives_the_run(tmp_path: Path, end: str) -> None:
    """A thread that is still cleaning up when Python exits would abort the process."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from utils.distributed import Processes, all_processes
from utils.errors import UserError

def threads():
    return {{file.name for file in Path("/proc/self/task").iterdir()}}

before = threads()
with suppress(UserError, SystemExit), all_processes() as processes:
    processes.gather(processes.rank)
    processes.barrier()
    during = threads() - before
    {end}
del processes
Path(sys.argv[1], f"{{len(during)}} {{len(during & threads())}}").touch()
""")
    found = torchrun(2, str(script), str(tmp_path))
    assert found.returncode == 0, found.stderr
    (counts,) = {file.name for file in tmp_path.iterdir()} - {script.name}
    during, after = map(int, counts.split())
    assert during > 0
    assert after == 0


def test_missing_variables_of_torchrun_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert "start several processes with torchrun" in run_main([], status=2)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_shards_are_whole_units_and_cover_the_batch(world_size: int) -> None:
    videos, rows = torch.arange(10), torch.arange(40).view(10, 4)
    shards = [Batch(videos, rows).shard(rank, world_size) for rank in range(world_size)]
    assert torch.cat([shard.videos for shard in shards]).equal(videos)
    assert torch.cat([shard.rows for shard in shards]).equal(rows)
    shards = [Batch(videos, rows, unit=2).shard(rank, world_size) for rank in range(world_size)]
    used = [shard for shard in shards if shard.weight]
    assert len(used) == min(world_size, 5)
    pairs = torch.cat([shard.videos.view(2, -1) for shard in used], dim=1)
    assert pairs.equal(videos.view(2, -1))
    for shard in shards:
        assert shard.rows.equal(rows[shard.videos])
        assert shard.weight or shard.videos.tolist() == [0, 5]  # the placeholder is a pair, too


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"ftcl": True, "thres": 0.7},
        {"ftcl": True, "thres": 0.7, "objective": "paper", "distinct_candidates": True},
    ],
    ids=["acmnet", "ftcl", "paper"],
)
@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_the_losses_of_the_shards_add_up_to_those_of_the_batch(
    data: Path, flags: dict[str, Any], world_size: int
) -> None:
    torch.manual_seed(0)
    timing = SnippetTiming(16, 25)
    split = read_dataset(data, THUMOS14.classes, ["train"], timing=timing).splits["train"]
    config = make_config(num_snippets=24, batch_size=5, **flags)
    batches = build_batches(config, split, torch.Generator(), torch.device("cpu"))
    net = FTCLNet(16, 20, fc_dim=8) if config.ftcl else ACMNet(16, 20)
    net.eval().double()
    criterion = build_criterion(config, net)

    def terms(batch: Batch) -> tuple[dict[str, float], dict[str, float]]:
        features = split.features.gather(batch.videos, batch.rows).double()
        labels, batch_labels = (split.labels[b.videos].double() for b in (batch, whole))
        found = criterion(net(features), labels, batch.rows, batch_labels)
        parts = ({n: v.item() * batch.weight for n, v in part.items()} for part in found)
        return next(parts), next(parts)

    whole = next(iter(batches))
    shards = [terms(whole.shard(rank, world_size)) for rank in range(world_size)]
    for of_shards, of_batch in zip(zip(*shards, strict=True), terms(whole), strict=True):
        for name, value in of_batch.items():
            assert np.isclose(sum(part[name] for part in of_shards), value, rtol=1e-6), name
