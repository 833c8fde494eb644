"""The program as a user runs it: train, look at what it leaves, test the checkpoint."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from record.checkpoint import read_checkpoint
from tests.data_folder import edit_json, make_data
from tests.program import run_main

Run = Callable[..., str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "thumos", train=12, test=7)


@pytest.fixture
def run(data: Path) -> Run:
    """Runs main_thu.py on the small data set; returns what it printed."""
    common = ["--data_dir", data, "--num_snippets", 24, "--device", "cpu"]
    return lambda *flags, status=0: run_main([*common, *flags], status)


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_leaves_checkpoints_metrics_and_settings(run: Run, data: Path) -> None:
    printed = run("--epochs", 3, "--without_wandb", "--seed", 5)
    folder = data / "save" / "baseline" / "acmnet"
    names = {path.name for path in folder.iterdir()}
    assert names == {"THUMOS_best.pth", "THUMOS_latest.pth", "config.json", "metrics.jsonl"}
    metrics = metrics_of(folder)
    assert [line["epoch"] for line in metrics] == [1, 2, 3]
    for name in ("loss/total", "loss/guide", "mAP@0.1", "mAP@0.9", "average .1-.7"):
        assert all(np.isfinite(line[name]) for line in metrics)
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == 5
    assert config["num_snippets"] == 24
    latest = read_checkpoint(folder / "THUMOS_latest.pth")
    assert latest["epoch"] == 3
    best = read_checkpoint(folder / "THUMOS_best.pth")
    scores = [line["average .1-.7"] for line in metrics]
    assert best["epoch"] == 1 + int(np.argmax(scores))
    assert "average mAP %" in printed
    assert str(folder) in printed


def test_testing_a_checkpoint_reproduces_the_numbers_of_training(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run("--epochs", 4, "--without_wandb", "--save_dir", folder, "--lr", 3e-3)
    last = metrics_of(folder)[-1]
    # --num_snippets and the like come from the checkpoint
    (folder / "moved").mkdir()
    file = folder / "moved" / "f.pth"
    (folder / "THUMOS_latest.pth").rename(file)
    printed = run("--test", "--checkpoint", file)
    rows = [line.split() for line in printed.splitlines()]
    table = next(row for row in rows if row[:2] == ["mAP", "%"])
    assert table[2:] == [f"{last[f'mAP@{tiou / 10:g}']:.2f}" for tiou in range(1, 10)]
    assert any(float(value) > 0 for value in table[2:])
    predictions = json.loads((folder / "moved" / "f_predictions.json").read_text())
    assert set(predictions) == {"version", "results", "external_data"}
    assert len(predictions["results"]) == 7


def test_the_settings_of_the_checkpoint_hold_unless_a_flag_says_otherwise(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run("--epochs", 1, "--without_wandb", "--save_dir", folder, "--tiou", 0.3, 0.5)
    checkpoint = folder / "THUMOS_latest.pth"
    assert "tIoU    0.3   0.5\n" in run("--test", "--checkpoint", checkpoint)
    assert "tIoU    0.7\n" in run("--test", "--checkpoint", checkpoint, "--tiou", 0.7)


def test_a_report_can_be_written_beside_the_predictions(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run("--epochs", 2, "--without_wandb", "--save_dir", folder, "--lr", 3e-3)
    printed = run("--test", "--report", "--checkpoint", folder / "THUMOS_best.pth")
    page = folder / "THUMOS_best_report" / "report.html"
    assert f"report: {page}" in printed
    assert "video_test_0000000" in page.read_text()


def test_the_same_seed_gives_the_same_bits(run: Run, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("--epochs", 2, "--without_wandb", "--save_dir", tmp_path / name, "--seed", seed)
        weights.append(read_checkpoint(tmp_path / name / "THUMOS_latest.pth")["model_state_dict"])
    same = [weights[0][name].equal(weights[1][name]) for name in weights[0]]
    assert all(same)
    assert not weights[0]["snippet_cls.weight"].equal(weights[2]["snippet_cls.weight"])


def test_a_second_run_in_the_same_folder_loses_nothing_of_the_first(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run("--epochs", 2, "--without_wandb", "--save_dir", folder)
    first = (folder / "metrics.jsonl").read_text()
    printed = run("--epochs", 1, "--without_wandb", "--save_dir", folder)
    assert "already contained a run" in printed
    assert (folder / "earlier-1" / "metrics.jsonl").read_text() == first
    assert (folder / "earlier-1" / "THUMOS_best.pth").exists()
    assert len(metrics_of(folder)) == 1


def test_evaluation_starts_when_asked_and_the_last_epoch_is_always_evaluated(
    run: Run, tmp_path: Path
) -> None:
    run("--epochs", 4, "--start_test_epoch", 9, "--without_wandb", "--save_dir", tmp_path / "r")
    assert ["mAP@0.5" in line for line in metrics_of(tmp_path / "r")] == [False] * 3 + [True]


def test_labels_of_whole_videos_are_enough_to_train(run: Run, data: Path, tmp_path: Path) -> None:
    def without_segments(content: Any) -> None:
        for video in content["database"].values():
            if video["subset"] == "train":
                labels = {one["label"] for one in video["annotations"]}
                video["annotations"] = [{"label": label} for label in sorted(labels)]

    weak = tmp_path / "weak"
    shutil.copytree(data, weak, ignore=shutil.ignore_patterns("save"))
    edit_json(weak / "gt.json", without_segments)
    assert '"segment"' in (weak / "gt.json").read_text()  # of the test videos
    for name, folder in (("full", data), ("weak", weak)):
        flags = ["--data_dir", folder, "--save_dir", tmp_path / name, "--without_wandb"]
        run("--epochs", 2, *flags)
    full, found = metrics_of(tmp_path / "full"), metrics_of(tmp_path / "weak")
    for name in ("loss/total", "average .1-.7"):
        assert [line[name] for line in found] == [line[name] for line in full]


def test_videos_without_annotations_are_localized_and_not_scored(
    run: Run, data: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("save"))
    run("--epochs", 1, "--without_wandb", "--save_dir", tmp_path / "run")
    edit_json(own / "gt.json", lambda c: [v.update(annotations=[]) for v in c["database"].values()])
    file = tmp_path / "run" / "THUMOS_latest.pth"
    out = tmp_path / "out"
    printed = run("--data_dir", own, "--test", "--checkpoint", file, "--save_dir", out, "--report")
    assert "no annotated instance: nothing to evaluate" in printed
    assert "nan" not in printed
    assert len(json.loads((out / "THUMOS_latest_predictions.json").read_text())["results"]) == 7
    settings = json.loads((out / "THUMOS_latest_report" / "report.json").read_text())["settings"]
    assert settings["epochs"] == 1  # of the training, which the test did not name
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("THUMOS_best.pth", "THUMOS_latest.pth", "config.json", "metrics.jsonl")
    }


def test_without_annotated_test_videos_training_ends_with_a_checkpoint(
    run: Run, data: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("save"))

    def without_annotations(content: Any) -> None:
        for video in content["database"].values():
            if video["subset"] == "test":
                video["annotations"] = []

    edit_json(own / "gt.json", without_annotations)
    flags = ["--data_dir", own, "--without_wandb"]
    printed = run(*flags, "--epochs", 3, "--seeds", 1, 2, "--save_dir", tmp_path / "run")
    assert printed.count("warning: no test video has an annotated instance, so no epoch is") == 1
    assert "nan" not in printed
    assert "inf" not in printed.replace("information", "")
    folder = tmp_path / "run" / "seed-1"
    best, latest = (read_checkpoint(folder / f"THUMOS_{kind}.pth") for kind in ("best", "latest"))
    assert best["epoch"] == latest["epoch"] == 3
    for name, weight in latest["model_state_dict"].items():
        assert weight.equal(best["model_state_dict"][name])
    assert not any("mAP@0.5" in line for line in metrics_of(folder))
    printed = run(*flags, "--test", "--checkpoint", folder / "THUMOS_best.pth")
    assert "no annotated instance" in printed
    # With annotations, the resumed run chooses the best epoch.
    shutil.copy(data / "gt.json", own / "gt.json")
    more = ["--resume", "--force", "--seed", 1, "--epochs", 4, "--save_dir", folder]
    assert "best epoch on the test videos: 4" in run(*flags, *more)
    assert read_checkpoint(folder / "THUMOS_best.pth")["epoch"] == 4


@pytest.mark.parametrize("moved", [False, True])
def test_the_split_files_decide_what_is_evaluated(
    run: Run, data: Path, tmp_path: Path, moved: bool
) -> None:
    """All videos in one subset, or a training video in the subset of the test videos."""
    own = tmp_path / "own"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("save"))

    def change(content: Any) -> None:
        for name, video in content["database"].items():
            if not moved or name == "video_train_0000004":
                video["subset"] = "test"

    flags = ["--epochs", 3, "--without_wandb", "--lr", 3e-3]
    expected = run(*flags, "--save_dir", tmp_path / "expected").splitlines()[-5:]
    edit_json(own / "gt.json", change)
    flags += ["--data_dir", own, "--save_dir", tmp_path / "run"]
    assert run(*flags).splitlines()[-5:] == expected
    assert "evaluated: 7 videos, 7 instances" in expected[-1]
    assert metrics_of(tmp_path / "run")[-1]["mAP@0.5"] > 0
    test = ["--data_dir", own, "--test", "--checkpoint", tmp_path / "run" / "THUMOS_latest.pth"]
    assert run(*test).splitlines()[-7:-2] == expected  # predictions and scores follow
    if moved:  # without the split file of the training videos, that one counts
        (own / "split_train.txt").unlink()
        assert "of these, 1 videos with 1 instances, such as video_train_0000004" in run(*test)


def test_videos_in_no_split_file_count_as_missed_and_are_named(
    run: Run, data: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("save"))
    edit_json(
        own / "gt.json",
        lambda c: c["database"].update({"extra": c["database"]["video_test_0000000"]}),
    )
    flags = ["--data_dir", own, "--epochs", 1, "--without_wandb", "--save_dir", tmp_path / "run"]
    lines = run(*flags).splitlines()
    assert "evaluated: 8 videos, 8 instances" in lines[-2]
    assert lines[-1] == (
        "of these, 1 videos with 1 instances, such as extra, are in no split file but in the "
        "subset of the test videos; their instances count as missed"
    )


def test_training_goes_on_from_a_checkpoint(run: Run, tmp_path: Path) -> None:
    run("--epochs", 2, "--without_wandb", "--save_dir", tmp_path / "a")
    checkpoint = tmp_path / "a" / "THUMOS_latest.pth"
    arguments = ["--checkpoint", checkpoint, "--start_epoch", 2, "--epochs", 3, "--lr", 1e-12]
    run(*arguments, "--without_wandb", "--save_dir", tmp_path / "b")
    assert [line["epoch"] for line in metrics_of(tmp_path / "b")] == [3]
    before = read_checkpoint(checkpoint)["model_state_dict"]
    after = read_checkpoint(tmp_path / "b" / "THUMOS_latest.pth")["model_state_dict"]
    for name in before:
        torch.testing.assert_close(before[name], after[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data_dir", "/nowhere/at/all"], "data directory /nowhere/at/all does not exist"),
        (["--checkpoint", "none.pth", "--test"], "checkpoint none.pth does not exist"),
        (["--lcs_len", "-1"], "--lcs_len -1: must be >= 1"),
        (["--save_dir", "/dev/null/x", "--epochs", "1", "--without_wandb"], "cannot write"),
        (["--lr", "1e30", "--epochs", "9", "--batch_size", "1"], "non-finite loss"),
    ],
)
def test_mistakes_are_one_message_and_exit_status_2(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    printed = run("--save_dir", tmp_path / "r", "--without_wandb", *arguments, status=2)
    assert "main_thu.py: error: " in printed
    assert message in printed
    assert "Traceback" not in printed


def test_a_failed_run_keeps_the_last_good_checkpoint(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    arguments = ["--save_dir", folder, "--without_wandb", "--batch_size", 1, "--epochs", 9]
    run(*arguments, "--lr", 1e30, status=2)
    for file in folder.glob("*.pth"):
        weights = read_checkpoint(file)["model_state_dict"]
        assert all(tensor.isfinite().all() for tensor in weights.values())


def test_the_program_starts_from_a_shell_and_says_where_it_computes(data: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "main_thu.py", "--data_dir", str(data / "gone")]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "computing on" in found.stdout
    assert "does not exist" in found.stderr
    assert "Traceback" not in found.stderr


def test_several_seeds_are_trained_and_compared(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    printed = run("--epochs", 2, "--without_wandb", "--save_dir", folder, "--seeds", 3, 1, 2)
    finals = []
    for seed in (3, 1, 2):
        assert read_checkpoint(folder / f"seed-{seed}" / "THUMOS_latest.pth")["epoch"] == 2
        finals.append(metrics_of(folder / f"seed-{seed}")[-1]["average .1-.7"])
        assert f"seed {seed} " in printed
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.split()}
    for name, value in (("mean", np.mean(finals)), ("std", np.std(finals, ddof=1))):
        assert f"{value:.2f}" in rows[name]
    run("--epochs", 2, "--without_wandb", "--save_dir", tmp_path / "alone", "--seed", 1)
    alone = read_checkpoint(tmp_path / "alone" / "THUMOS_latest.pth")["model_state_dict"]
    among = read_checkpoint(folder / "seed-1" / "THUMOS_latest.pth")["model_state_dict"]
    assert all(tensor.equal(among[name]) for name, tensor in alone.items())

    arguments = ["--ftcl", "--fc_dim", 8, "--epochs", 1, "--without_wandb", "--seeds", 1, 2]
    pattern = folder / "seed-{seed}" / "THUMOS_latest.pth"
    run(*arguments, "--checkpoint", pattern, "--save_dir", tmp_path / "second")
    config = json.loads((tmp_path / "second" / "seed-2" / "config.json").read_text())
    assert config["checkpoint"].endswith("seed-2/THUMOS_latest.pth")
