"""The command that writes the report of any prediction file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.report import command as report_command
from eval.scores_file import write_scores
from tests.data_folder import make_data
from tests.program import run_command, run_main
from tests.report_case import make_scores
from tests.test_report import Page, unpacked

Run = Callable[..., str]
DATABASE = {
    "v0": [("Diving", 0, 4), ("CliffDiving", 0, 4)],
    "v1": [("Diving", 2, 3)],
    "v2": [],
}
RESULTS: dict[str, Any] = {
    "v0": [{"label": "Diving", "score": 0.9, "segment": [0, 4]}],
    "other": [{"label": "Diving", "score": 0.1, "segment": [0, 40]}],
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on small files; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    database = {
        name: {
            "subset": "test",
            "duration": 10,
            "annotations": [{"label": label, "segment": [s, e]} for label, s, e in annotations],
        }
        for name, annotations in DATABASE.items()
    }
    Path("gt.json").write_text(json.dumps({"database": database}), encoding="utf-8")
    Path("pred.json").write_text(json.dumps({"results": RESULTS}), encoding="utf-8")

    def run_report(*words: str, exits: int = 0) -> str:
        arguments = ["--ground_truth", "gt.json", "--predictions", "pred.json", *words]
        return run_command(report_command.main, "eval.report", arguments, exits)

    return run_report


def page_in(folder: str) -> Page:
    return Page((Path(folder) / "report.html").read_text(encoding="utf-8"))


def test_the_report_lies_beside_the_predictions(run: Run) -> None:
    assert "report: pred_report/report.html" in run()
    page = page_in("pred_report")
    videos = page.videos()
    assert videos["videos"]["names"] == ["v0", "v1", "v2", "other"]
    assert unpacked(videos["videos"]["seconds"]).tolist() == [10, 10, 10, 0]
    text = " ".join(page.text.split())
    for shown in (
        "python -m eval.report --ground_truth gt.json --predictions pred.json",
        *("no prediction: 2, whose 1 instances", "False positives in videos outside"),
        *("numpy", "subset", "evaluateall"),
    ):
        assert shown in text
    assert "classification" not in text
    values = json.loads(Path("pred_report/report.json").read_text())
    assert values["headline"]["average"] == ".1-.7"


def test_the_options_of_eval_detection_apply(run: Run) -> None:
    words = ["--tiou", "0.5", "0.75", "--evaluate", "predicted", "--classes", "Diving"]
    run(*words, "--output", "out", "--title", "My method", "--error_tiou", "0.6")
    page = page_in("out")
    assert page.videos()["tiou"] == [0.5, 0.75]
    assert page.videos()["videos"]["names"] == ["v0", "other"]
    assert page.videos()["classes"] == ["Diving"]
    assert "My method" in page.text
    assert "at tIoU 0.6" in page.text
    Path("list.txt").write_text("v1\n")
    run("--evaluate", "list.txt", "--output", "out")
    assert page_in("out").videos()["videos"]["names"] == ["v1"]


def test_scores_and_videos_are_found_under_other_names(run: Run) -> None:
    write_scores(Path("s.npz"), [make_scores("v_v0", 9, 9, 2)], ["cliff_diving", "Diving"], 0.5)
    Path("files").mkdir()
    Path("files/v0.mp4").write_bytes(b"")
    words = ["--scores", "s.npz", "--videos", "files", "--label_aliases", "similar"]
    printed = run(*words, "cliff_diving=CliffDiving", "--output", "out")
    assert "scores: 1 of 1 video names matched with and without the prefix v_" in printed
    page = page_in("out")
    videos = page.videos()
    assert unpacked(videos["curves"]["kind"]).tolist() == [-1, -2, -3, 0, 1]
    assert unpacked(videos["videos"]["seconds"]).tolist() == [4.5, 10, 10, 0]
    assert videos["media"] == {"0": "../files/v0.mp4"}
    assert any("media-src 'self' file:" in value for value in page.values("content"))


def test_mistakes(run: Run) -> None:
    write_scores(Path("s.npz"), [make_scores("unknown", 9, 9, 2)], ["Diving", "Shotput"], 0.5)
    for words, message in (
        (["--scores", "s.npz"], "has none of the evaluated videos; its first one is unknown"),
        (["--scores", "gt.json"], "scores file gt.json cannot be read as .npz"),
        (["--videos", "gt.json"], "--videos gt.json is not a folder"),
        (["--subset", "val"], "--subset 'val' is not in the ground truth"),
        (["--tiou", "2"], "--tiou '2' is not a threshold"),
        (["--protocol", "thumos-kit"], "unrecognized arguments"),
    ):
        assert message in run(*words, exits=2)
    assert not list(Path().glob("*report*"))


def test_the_scores_of_a_test_draw_the_same_curves_again(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    out = tmp_path / "run"
    flags = ["--data_dir", data, "--num_snippets", 24, "--device", "cpu", "--without_wandb"]
    run_main([*flags, "--epochs", 1, "--save_dir", out])
    test = ["--data_dir", data, "--test", "--checkpoint", out / "THUMOS_latest.pth", "--report"]
    printed = run_main(test)
    scores = out / "THUMOS_latest_scores.npz"
    assert f"scores: {scores}" in printed
    first = page_in(str(out / "THUMOS_latest_report"))
    assert "python main_thu.py --data_dir" in first.text
    with pytest.MonkeyPatch.context() as patch:
        words = ["--ground_truth", data / "gt.json", "--scores", scores, "--output", tmp_path / "x"]
        words += ["--predictions", out / "THUMOS_latest_predictions.json"]
        patch.setattr(sys, "argv", ["eval.report", *map(str, words)])
        report_command.main()
    again = page_in(str(tmp_path / "x"))
    curves = [page.videos()["curves"] for page in (first, again)]
    assert unpacked(curves[0]["points"]).tolist() == unpacked(curves[1]["points"]).tolist()
    assert [v for v in unpacked(curves[1]["kind"]) if v < 0] == [-1, -2, -3] * 4
    names = ("pairs", "instances")
    one, two = ([page.videos()[name]["count"] for name in names] for page in (first, again))
    assert one == two


def test_the_command_starts_without_slow_imports() -> None:
    code = "import sys; import eval.report.command; print({'torch', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
