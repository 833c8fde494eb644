"""A training and a test as a user starts them, read back from the files of their offline runs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

wandb = pytest.importorskip("wandb")

import eval.dashboard  # noqa: E402
from record.checkpoint import read_checkpoint  # noqa: E402
from record.run_log import RunLog  # noqa: E402
from record.wandb_names import wandb_name  # noqa: E402
from record.wandb_run import Table  # noqa: E402
from tests.data_folder import edit_json, make_data  # noqa: E402
from tests.program import run_main  # noqa: E402
from tests.wandb_file import OfflineRun  # noqa: E402

EPOCHS = 3


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "thumos", train=12, test=7)


def flags(data: Path, *more: object) -> list[object]:
    return ["--data_dir", data, "--num_snippets", 24, "--device", "cpu", *more]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a finished FTCL run that was logged with every option."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(folder / "wandb-data"))
        wandb.teardown()
        names = ["--group", "pairs", "--model_name", "first", "--wandb_project", "mine"]
        options = ["--wandb_tags", "small", "two words", "--wandb_timelines", 2]
        start = ["--ftcl", "--fc_dim", 8, "--thres", 0.5, "--epochs", EPOCHS, "--lr", 3e-3]
        options += ["--wandb_artifacts", "--save_dir", folder]
        run_main(flags(data, *start, *names, *options))
        wandb.teardown()
    return folder


@pytest.fixture(scope="module")
def run(trained: Path) -> OfflineRun:
    return OfflineRun(trained)


def test_project_group_name_and_tags_are_those_of_the_flags(run: OfflineRun) -> None:
    about = run.about
    assert (about.project, about.run_group, about.display_name) == ("mine", "pairs", "first")
    assert (list(about.tags), about.job_type) == (["small", "two words"], "train")
    assert (run.config["lr"], run.config["ftcl"], run.config["thres"]) == (3e-3, True, 0.5)
    assert run.config["data"]["train"]["videos"] == 12


def test_every_metric_of_every_epoch_is_logged_in_its_section(
    run: OfflineRun, trained: Path
) -> None:
    assert sorted(run.history) == list(range(1, EPOCHS + 1))
    for line in lines_of(trained):
        logged = run.history[line.pop("epoch")]
        assert {wandb_name(name): logged[wandb_name(name)] for name in line} == {
            wandb_name(name): value for name, value in line.items()
        }
        assert logged["mAP/average"] == line["average .1-.7"]
    sections = {name.split("/")[0] for name in logged if "/" in name}
    assert sections >= {"loss", "loss_weighted", "mAP", "train", "time"}
    expected = {"loss/fsd", "loss/lcs", "loss/total", "mAP/tIoU_10", "mAP/average_10_to_70"}
    expected |= {"train/learning_rate", "train/lcs_match_share", "time/training_seconds"}
    assert expected <= logged.keys()
    assert logged["train/learning_rate"] == 3e-3
    assert 0 < logged["train/lcs_match_share"] <= 1


def test_the_epoch_is_the_horizontal_axis_and_the_main_metric_keeps_its_maximum(
    run: OfflineRun, trained: Path
) -> None:
    assert run.metrics["epoch"].options.hidden
    assert run.metrics["*"].step_metric == "epoch"
    scores = [line["average .1-.7"] for line in lines_of(trained)]
    assert run.summary["mAP/average_10_to_70"] == {"max": max(scores), "last": scores[-1]}
    assert run.summary["mAP/average"] == scores[-1]


def test_the_summary_contains_the_best_and_the_last_epoch(run: OfflineRun, trained: Path) -> None:
    lines = lines_of(trained)
    best = read_checkpoint(trained / "THUMOS_best.pth")["epoch"]
    for which, epoch in (("best", best), ("last", EPOCHS)):
        line = lines[epoch - 1]
        assert run.summary[f"{which}/epoch"] == epoch
        assert run.summary[f"{which}/mAP/average"] == line["average .1-.7"]
        assert run.summary[f"{which}/mAP/tIoU_50"] == line["mAP@0.5"]


def test_the_average_precision_of_each_class_is_a_table(run: OfflineRun, trained: Path) -> None:
    for which in ("last", "best"):
        epoch = run.summary[f"{which}/epoch"]
        line = lines_of(trained)[epoch - 1]
        table = run.table(EPOCHS, f"classes/{which}")
        at = [f"AP@{tiou / 10:g}" for tiou in range(1, 10)]
        assert table["columns"] == ["class", "instances", "detections", *at, "average"]
        names = [row[0] for row in table["data"]]
        assert names == ["BaseballPitch", "BasketballDunk", "Billiards", "mean"]
        mean = dict(zip(table["columns"], table["data"][-1], strict=True))
        assert mean["instances"] == 7
        assert mean["average"] == pytest.approx(line["average .1-.7"])
        assert mean["AP@0.5"] == pytest.approx(line["mAP@0.5"])


def test_the_timelines_of_the_same_videos_are_drawn_every_other_epoch(
    run: OfflineRun, data: Path
) -> None:
    from PIL import Image

    images = {
        step: {name for name in values if name.startswith("timelines/") and name.endswith(".path")}
        for step, values in run.history.items()
    }
    assert [step for step, names in images.items() if names] == [2, EPOCHS]
    assert images[2] == images[EPOCHS]
    durations: dict[str, float] = {
        name: video["duration"]
        for name, video in json.loads((data / "gt.json").read_text())["database"].items()
        if video["subset"] == "test"
    }
    ranked = sorted(durations, key=lambda name: durations[name])
    chosen = [ranked[0], ranked[len(ranked) // 2], ranked[-1]]
    wanted = [f"timelines/{number}_{name}.path" for number, name in enumerate(chosen, 1)]
    assert images[2] == set(wanted)
    for name in wanted:
        picture = Image.open(run.file(run.history[2][name]))
        assert picture.width == 1500
        assert np.asarray(picture.convert("L")).min() < 80  # something is drawn


def test_the_best_checkpoint_is_an_artifact(run: OfflineRun, trained: Path) -> None:
    (artifact,) = run.artifacts["model"]
    assert set(artifact.aliases) == {"best", "latest"}
    about = json.loads(artifact.metadata)
    (entry,) = artifact.manifest.contents
    best = read_checkpoint(trained / "THUMOS_best.pth")
    assert (about["epoch"], about["name"]) == (best["epoch"], ".1-.7")
    assert about["score"] == pytest.approx(run.summary["best/mAP/average"])
    assert entry.path == "THUMOS_best.pth"
    assert Path(entry.local_path).read_bytes() == (trained / "THUMOS_best.pth").read_bytes()


def test_a_test_is_a_run_of_its_own_with_predictions_and_report(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    checkpoint = trained / "THUMOS_latest.pth"
    test = ["--test", "--checkpoint", checkpoint, "--save_dir", tmp_path, "--report"]
    run_main(flags(data, *test, "--wandb_artifacts", "--wandb_tags", "final"))
    run, last = OfflineRun(tmp_path), lines_of(trained)[-1]
    about = run.about
    assert (about.job_type, about.run_group, about.display_name) == ("test", "pairs", "first")
    assert list(about.tags) == ["final"]
    assert run.config["checkpoint"] == str(checkpoint)
    assert run.history[EPOCHS]["mAP/tIoU_50"] == pytest.approx(last["mAP@0.5"])
    assert run.table(EPOCHS, "classes/test")["data"][-1][0] == "mean"
    assert sum(name.startswith("timelines/") for name in run.history[EPOCHS]) > 3
    (predictions,), (report,) = run.artifacts["predictions"], run.artifacts["report"]
    assert [e.path for e in predictions.manifest.contents] == ["THUMOS_latest_predictions.json"]
    paths = {entry.path for entry in report.manifest.contents}
    assert "THUMOS_latest_report/report.html" in paths


def test_a_test_logs_to_wandb_only_on_demand(data: Path, trained: Path, tmp_path: Path) -> None:
    test = ["--test", "--checkpoint", trained / "THUMOS_best.pth", "--save_dir", tmp_path]
    run_main(flags(data, *test))
    assert not (tmp_path / "wandb").exists()
    run_main(flags(data, *test, "--wandb_test", "--wandb_timelines", 0))
    run = OfflineRun(tmp_path)
    assert "predictions" not in run.artifacts
    assert not any(name.startswith("timelines/") for name in next(iter(run.history.values())))


def test_a_failing_drawing_stops_neither_training_nor_the_log(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(eval.dashboard.Timelines, "_draw", fail)
    printed = run_main(flags(data, "--epochs", 2, "--wandb_timelines", 1, "--save_dir", tmp_path))
    assert "warning: no timelines in wandb, drawing them failed: no font" in printed
    run = OfflineRun(tmp_path)
    assert "classes/last.path" in run.history[2]
    assert run.history[2]["loss/total"] == lines_of(tmp_path)[1]["loss/total"]


def test_a_failing_artifact_does_not_stop_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(wandb.Run, "log_artifact", fail)
    printed = run_main(flags(data, "--epochs", 1, "--wandb_artifacts", "--save_dir", tmp_path))
    assert "wandb failed (No space left on device)" in printed
    assert "checkpoints and metrics" in printed


def test_a_test_without_instances_and_a_disabled_wandb(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "data"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("save"))
    edit_json(own / "gt.json", without_test_instances)
    test = ["--test", "--checkpoint", trained / "THUMOS_best.pth", "--save_dir", tmp_path]
    printed = run_main(flags(own, *test, "--wandb_artifacts"))
    assert "wandb failed" not in printed
    assert len(OfflineRun(tmp_path).artifacts["predictions"]) == 1

    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb.teardown()
    folder = tmp_path / "disabled"
    printed = run_main(flags(data, "--epochs", 2, "--wandb_artifacts", "--save_dir", folder))
    assert "wandb" not in printed
    assert not (folder / "wandb").exists()


def without_test_instances(content: dict[str, Any]) -> None:
    for video in content["database"].values():
        if video["subset"] == "test":
            video["annotations"] = []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--wandb_videos", "nowhere"], "--wandb_videos nowhere: none of the 7 test videos"),
        (["--wandb_tags", "x" * 65], "wandb allows tags of 1 to 64 characters"),
        (["--wandb_test"], "--wandb_test needs --test"),
        (["--wandb_artifacts", "--without_wandb"], "cannot be combined with --without_wandb"),
    ],
)
def test_wrong_flags(data: Path, tmp_path: Path, wrong: list[str], message: str) -> None:
    assert message in run_main(flags(data, "--save_dir", tmp_path / "run", *wrong), status=2)
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_keeps_the_best_epoch_of_the_first_part(tmp_path: Path) -> None:
    def part(score: float, epoch: int, **more: Any) -> None:
        more |= {"wandb_project": "p", "wandb_group": "g", "wandb_name": "n"}
        with RunLog(tmp_path, "THUMOS", {}, **more) as log:
            log.end_epoch(
                epoch,
                {"loss/total": 1.0, "mAP@0.5": score},
                (".1-.7", score),
                {"model_state_dict": {}},
                {},
                table=Table(["class", "AP@0.5"], [["Diving", score], ["Surfing", None]]),
            )

    part(30.0, 1)
    (first,) = tmp_path.glob("wandb/offline-run-*")
    first.rename(tmp_path / "first")
    part(20.0, 2, resumed=read_checkpoint(tmp_path / "THUMOS_latest.pth"), resuming=True)
    run = OfflineRun(tmp_path)
    assert (run.summary["best/epoch"], run.summary["best/mAP/tIoU_50"]) == (1, 30.0)
    assert (run.summary["last/epoch"], run.summary["last/mAP/tIoU_50"]) == (2, 20.0)
    assert run.table(2, "classes/best")["data"] == [["Diving", 30.0], ["Surfing", None]]
    assert run.table(2, "classes/last")["data"] == [["Diving", 20.0], ["Surfing", None]]


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("loss/total", "loss/total"),
        ("weighted/fsd", "loss_weighted/fsd"),
        ("mAP@0.55", "mAP/tIoU_55"),
        ("mAP@0.125", "mAP/tIoU_12_5"),
        ("average .5-.95", "mAP/average_50_to_95"),
        ("average .5 .75 1", "mAP/average_50_75_100"),
        ("average 7 thresholds from .1 to .33", "mAP/average_7_thresholds_from_10_to_33"),
        ("classification mAP", "mAP/video_classification"),
        ("seconds/training", "time/training_seconds"),
        ("lcs match share", "train/lcs_match_share"),
        ("skipped steps/fsd", "train/skipped_steps_fsd"),
    ],
)
def test_names_are_letters_digits_and_underscores(metric: str, name: str) -> None:
    assert wandb_name(metric) == name
