"""What a run prints and logs, and how runs are compared afterwards."""

import json
from pathlib import Path

import pytest

from record.run_log import RunLog
from record.summary import summary
from tests.data_folder import make_data
from tests.program import run_main
from utils.errors import UserError


def test_a_warning_is_printed_once_per_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(tmp_path, "THUMOS", {}, wandb_project=None, wandb_group="", wandb_name="")
    with log:
        for epoch, warnings in enumerate((["first"], ["first", "second"], ["second"]), start=1):
            log.end_epoch(epoch, {"loss/total": 1.0}, None, {"model_state_dict": {}}, {}, warnings)
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("warning")] == [
        "warning: first",
        "warning: second",
    ]
    assert sum(line.startswith("epoch ") for line in printed) == 3


def test_the_lcs_loss_without_a_match_is_reported_once(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    flags = ["--data_dir", data, "--save_dir", tmp_path / "run", "--num_snippets", "24"]
    flags += ["--ftcl", "--fc_dim", "8", "--thres", "1", "--epochs", "2", "--device", "cpu"]
    printed = run_main([*flags, "--without_wandb"])
    assert printed.count("as similar as --thres requires") == 1


def test_without_a_terminal_an_epoch_is_one_line(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    flags = ["--data_dir", data, "--save_dir", tmp_path / "run", "--num_snippets", "24"]
    printed = run_main([*flags, "--epochs", "3", "--device", "cpu", "--without_wandb"])
    assert sum(line.startswith("epoch ") for line in printed.splitlines()) == 3
    assert not any(sign in printed for sign in ("\r", "%|", "it/s", "step/s"))


def make_run(folder: Path, dataset: str | None, averages: list[str]) -> Path:
    """A run directory with three epochs; the first is the best in the first average."""
    folder.mkdir()
    if dataset:
        (folder / "config.json").write_text(json.dumps({"dataset": dataset}))
    lines = [{"epoch": 1, "loss/total": 3.0}]
    for epoch in (2, 3):
        values = {name: abs(10.0 * index - epoch) for index, name in enumerate(averages)}
        lines.append({"epoch": epoch, "mAP@0.5": 1.0, **values})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def test_runs_are_compared_by_the_main_average_of_the_data_set(tmp_path: Path) -> None:
    averages = ["average .1-.5", "average .1-.7"]
    table = summary(
        {
            "run": make_run(tmp_path / "1", "THUMOS", averages),
            "other data": make_run(tmp_path / "2", None, averages),
            "other tIoU": make_run(tmp_path / "3", "THUMOS", averages[:1]),
        }
    )
    assert list(table["best"]) == [8.0, 3.0, 3.0]
    assert list(table["best epoch"]) == [2, 3, 3]
    assert list(table["epochs"]) == [3, 3, 3]


def test_a_directory_without_metrics_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted a run directory"):
        summary({"run": tmp_path})
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(UserError, match="no evaluated epoch yet"):
        summary({"run": tmp_path})
