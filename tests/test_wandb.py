"""wandb: logged values are read back from its file; problems with wandb never stop a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

wandb = pytest.importorskip("wandb")

from record.checkpoint import read_checkpoint  # noqa: E402
from record.run_log import RunLog  # noqa: E402
from record.wandb_run import WandbRun  # noqa: E402
from tests.wandb_file import OfflineRun, records  # noqa: E402


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SILENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    wandb.teardown()  # discard what wandb read in an earlier test
    yield
    wandb.teardown()


def start(folder: Path, **config: Any) -> RunLog:
    return RunLog(
        folder,
        "THUMOS",
        config,
        wandb_project="p",
        wandb_group="g",
        wandb_name="my run",
        wandb_tags=("a", "b c"),
    )


def test_losses_map_and_config_are_in_the_offline_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with start(folder, lr=1e-4, tiou=[0.1, 0.2]) as log:
        for epoch in (1, 2):
            metrics = {"loss/total": 3.0 / epoch, "mAP@0.1": 10.0 * epoch, "mAP@0.2": 5.0 * epoch}
            log.end_epoch(epoch, metrics, None, {"model_state_dict": {}}, {})

    run = OfflineRun(folder)
    assert (run.about.project, run.about.run_group, run.about.display_name) == ("p", "g", "my run")
    assert (list(run.about.tags), run.about.job_type) == (["a", "b c"], "train")
    assert run.config["lr"] == 1e-4
    assert run.config["tiou"] == [0.1, 0.2]
    for epoch in (1, 2):
        assert run.history[epoch]["epoch"] == epoch
        assert run.history[epoch]["loss/total"] == 3.0 / epoch
        assert run.history[epoch]["mAP/tIoU_10"] == 10.0 * epoch
        assert run.history[epoch]["mAP/tIoU_20"] == 5.0 * epoch
    assert run.metrics["*"].step_metric == "epoch"
    printed = capsys.readouterr().out
    assert "wandb has no API key" in printed
    assert f"wandb sync {run.folder}" in printed


def test_no_network_falls_back_to_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, modes = wandb.init, []

    def init(**arguments: Any) -> Any:
        modes.append(arguments.get("mode"))
        if arguments.get("mode") != "offline":
            raise wandb.errors.CommError("no route to host")
        return real(**arguments)

    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "init", init)
    run = WandbRun(tmp_path, {}, "p", "g", "n")
    run.log(1, {"loss/total": 1.0})
    run.finish()
    assert modes == [None, "offline"]
    printed = capsys.readouterr().out
    assert "cannot be reached (no route to host)" in printed
    assert "wandb sync" in printed
    assert any(record.WhichOneof("record_type") == "history" for record in records(tmp_path))


def test_a_crash_of_wandb_is_reported_once_and_loses_no_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    log = start(tmp_path)
    assert log.wandb is not None

    def crash(*_: Any, **__: Any) -> None:
        raise BrokenPipeError("the service process is gone")

    log.wandb.run.run.log = crash
    with log:
        for epoch in (1, 2, 3):
            log.end_epoch(epoch, {"loss/total": 1.0}, None, {"model_state_dict": {}}, {})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    assert capsys.readouterr().out.count("wandb failed (the service process is gone)") == 1


def test_the_mode_chosen_by_the_user_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = WandbRun(tmp_path, {}, "p", "g", "n")
    run.log(1, {"loss/total": 1.0})
    run.finish()
    assert not (tmp_path / "wandb").exists()


def test_wandb_need_not_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    run = WandbRun(tmp_path, {}, "p", "g", "n")
    run.log(1, {"loss/total": 1.0})
    run.finish()
    assert "pip install wandb" in capsys.readouterr().out


def test_a_resumed_run_continues_the_same_wandb_run(tmp_path: Path) -> None:
    with start(tmp_path) as log:
        log.end_epoch(1, {"loss/total": 2.0}, None, {"model_state_dict": {}}, {})
    latest = read_checkpoint(tmp_path / "THUMOS_latest.pth")
    assert latest["wandb"]
    again = RunLog(
        tmp_path,
        "THUMOS",
        {},
        resumed=latest,
        resuming=True,
        wandb_project="p",
        wandb_group="g",
        wandb_name="my run",
    )
    with again as log:
        log.end_epoch(2, {"loss/total": 1.0}, None, {"model_state_dict": {}}, {})
    files = {path.name for path in tmp_path.glob("wandb/offline-run-*/run-*.wandb")}
    assert files == {f"run-{latest['wandb']}.wandb"}
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
