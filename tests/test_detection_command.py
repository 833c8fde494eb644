"""The command that evaluates any prediction file, on small files and as a user starts it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dataset.annotations import read_database
from eval.detection import command as detection_command
from eval.detection.prediction_file import write_predictions
from eval.segments import ground_truth

Run = Callable[..., str]

DATABASE = {
    "v0": ("test", [("Diving", 0, 4), ("CliffDiving", 0, 4)]),
    "v1": ("test", [("Diving", 2, 3)]),
    "v2": ("test", []),
    "w0": ("training", [("Diving", 1, 2), ("Shotput", 1, 2)]),
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on a small annotation file and a prediction file; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    database = {
        name: {
            "subset": subset,
            "annotations": [{"label": label, "segment": [s, e]} for label, s, e in annotations],
        }
        for name, (subset, annotations) in DATABASE.items()
    }
    Path("gt.json").write_text(json.dumps({"database": database}), encoding="utf-8")

    def run_command(*words: str, results: dict[str, Any] | None = None, exits: int = 0) -> str:
        if results is None:
            results = {
                "v0": [{"label": "Diving", "score": "0.9", "segment": [0, 4]}],
                "v2": [{"label": "Diving", "score": 0.1, "segment": [0, 4]}],
                "other": [{"label": "Diving", "score": 0.1, "segment": [0, 4]}],
            }
        Path("pred.json").write_text(json.dumps({"results": results}), encoding="utf-8")
        files = ["--ground_truth", "gt.json", "--predictions", "pred.json"]
        monkeypatch.setattr(sys, "argv", ["eval.detection", *files, *words])
        if exits:
            with pytest.raises(SystemExit) as caught:
                detection_command.main()
            assert caught.value.code == exits
            error = capsys.readouterr().err
            assert "Traceback" not in error
            return error
        detection_command.main()
        return capsys.readouterr().out

    return run_command


def test_command_prints_and_writes(run: Run) -> None:
    output = run("--json", "out/o.json", "--csv", "out/o.csv")
    lines = output.splitlines()
    assert lines[0].startswith("tIoU ")
    assert lines[1].startswith("mAP % ")
    assert lines[2] == "average mAP %   .1-.5: 25.00   .3-.7: 25.00   .1-.7: 25.00   .1-.9: 25.00"
    assert lines[3] == "evaluated: 3 videos, 3 instances of 2 classes, 3 detections"
    assert lines[4].startswith("subset: test (it has 2 of the 2 predicted videos")
    assert "videos left out" not in output  # a count of zero
    assert "detections left out" not in output
    assert "videos without a prediction: 1, whose 1 instances count as missed" in output
    assert "false positives in videos outside the ground truth: 1" in output
    assert "false positives in videos without an annotated instance: 1" in output
    report = json.loads(Path("out/o.json").read_text(encoding="utf-8"))
    assert report["mAP"] == [25.0] * 9
    assert report["average_mAP"] == dict.fromkeys((".1-.5", ".3-.7", ".1-.7", ".1-.9"), 25)
    assert report["videos_not_predicted"] == ["v1"]
    assert report["classes"]["CliffDiving"] == {"instances": 1, "detections": 0, "AP": [0] * 9}
    best = {"true positive": 1, "duplicate": 0, "localization": 0, "wrong class": 0}
    assert report["errors"]["best"]["1G"] == {**best, "background": 1}
    assert report["errors"]["best"]["10G"] == {**best, "background": 2}
    assert report["errors"]["missed_by_length"]["up to 3 s"] == {"instances": 1, "missed": 1}
    frame = pd.read_csv("out/o.csv", index_col="class")
    assert frame.loc["mean", "AP@0.5"] == 25
    for name, row in report["classes"].items():
        assert frame.loc[name].tolist() == [
            *(row["instances"], row["detections"], *row["AP"]),
            "activitynet",
        ]


def test_command_on_some_videos(run: Run) -> None:
    output = run("--videos", "predicted", "--json", "o.json")
    assert "videos left out: 1 with 1 instances: v1" in output
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert report["videos_left_out"] == ["v1"]
    assert report["mAP"] == [50.0] * 9
    Path("list.txt").write_text("v1\n", encoding="utf-8")
    output = run("--videos", "list.txt")
    assert "videos left out: 2 with 2 instances: v0, v2" in output
    assert "detections left out, in videos or of classes not chosen: 3" in output
    assert "video list file nowhere.txt does not exist" in run("--videos", "nowhere.txt", exits=2)


def test_a_list_may_name_videos_of_any_subset(run: Run) -> None:
    Path("list.txt").write_text("v0\nv_w0\n", encoding="utf-8")
    results = {
        "v0": [
            {"label": "Diving", "score": 0.9, "segment": [0, 4]},
            {"label": "CliffDiving", "score": 0.9, "segment": [0, 4]},
        ],
        "w0": [{"label": "Diving", "score": 0.9, "segment": [1, 2]}],
        "v1": [{"label": "Diving", "score": 1.0, "segment": [8, 9]}],
    }
    output = run("--videos", "list.txt", "--json", "o.json", results=results)
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert (report["videos"], report["instances"]) == (2, 4)
    assert {name: row["AP"][4] for name, row in report["classes"].items()} == {
        **{"Diving": 100, "CliffDiving": 100, "Shotput": 0}
    }
    assert report["videos_left_out"] == ["v1", "v2"]
    assert "subset: test, training (of the videos listed in list.txt)" in output
    assert "list.txt: 1 of 2 video names matched with and without the prefix v_" in output
    output = run("--videos", "list.txt", "--subset", "test", results=results)
    assert (
        "warning: 1 listed videos are not in --subset 'test' (first: w0); they are eval" in output
    )
    Path("list.txt").write_text("v1\nvideo_9\n", encoding="utf-8")
    error = run("--videos", "list.txt", exits=2)
    assert "video list list.txt: 1 of 2 names are not in the ground truth (such as video_9" in error


def test_videos_with_and_without_the_prefix(run: Run) -> None:
    plain = run("--tiou", "0.5", "--videos", "predicted")
    detection = {"label": "Diving", "score": 0.9, "segment": [0, 4]}
    results = {"v_v0": [detection], "v_v2": [{**detection, "score": 0.1}], "other": [detection]}
    results["other"] = [{**detection, "score": 0.1}]
    output = run("--tiou", "0.5", "--videos", "predicted", results=results)
    note = "predictions: 2 of 2 video names matched with and without the prefix v_ (first: v_v0 is "
    assert output.startswith(note)
    assert output.partition("\n")[2] == plain


def test_names_that_are_mostly_unknown_are_reported(run: Run) -> None:
    detection = {"label": "Diving", "score": 0.9, "segment": [0, 4]}
    output = run(results={"v0": [detection], "v0.mp4": [detection], "x": [detection]})
    assert output.startswith(
        "warning: only 1 of 3 predicted videos are in the ground truth (such as v0.mp4, x; known "
        "are v0, v1, v2); the detections in the others are false positives"
    )
    error = run("--subset", "test", results={"x": [detection]}, exits=2)
    assert (
        "no video of the prediction file is in the ground truth (such as x; known are v0," in error
    )


def test_labels_that_are_spelled_differently(run: Run) -> None:
    results = {"v0": [{"label": "Cliff_diving", "score": 0.9, "segment": [0, 4]}]}
    error = run(results=results, exits=2)
    assert (
        "label 'Cliff_diving' of the predictions and 'CliffDiving' of the annotations differ only "
        "in case, spaces, underscores or hyphens; --label_aliases similar makes such labels the "
        'same class, --label_aliases "Cliff_diving=CliffDiving" only these two' in error
    )
    flags = ["--tiou", "0.5", "--classes", "cliff diving"]
    output = run(*flags, "--label_aliases", "similar", results=results)
    assert "mAP %  100.00" in output
    flags[-1] = "Cliff_diving"
    output = run(*flags, "--label_aliases", "Cliff_diving=CliffDiving", results=results)
    assert "mAP %  100.00" in output
    results["v0"][0]["label"] = "Jumping"
    output = run(results=results)
    assert output.startswith(
        "warning: no class of the prediction file is in the ground truth (such as Jumping; known "
    )


def test_labels_that_are_numbers(run: Run) -> None:
    results = {"v0": [{"label": 3, "score": 0.9, "segment": [0, 4]}]}
    error = run(results=results, exits=2)
    assert "v0, detection 0: label 3 is not a class name; --class_names FILE names" in error
    Path("names.txt").write_text("3 CliffDiving\n4 Diving\n", encoding="utf-8")
    flags = ["--class_names", "names.txt", "--classes", "CliffDiving", "--tiou", "0.5"]
    assert "mAP %  100.00" in run(*flags, results=results)


def change_truth(*annotations: dict[str, Any], video: str = "v0") -> None:
    """Appends annotations to a video of the ground truth."""
    content = json.loads(Path("gt.json").read_text(encoding="utf-8"))
    content["database"][video]["annotations"] += annotations
    Path("gt.json").write_text(json.dumps(content), encoding="utf-8")


def test_ambiguous_intervals_are_no_class(run: Run) -> None:
    before = run("--tiou", "0.5")
    change_truth({"label": "Ambiguous", "segment": [0, 1]})
    first, _, rest = run("--tiou", "0.5").partition("\n")
    assert first == "annotations ignored: 1 with the label Ambiguous (--ignore_labels)"
    assert rest == before
    assert "instances of 3 classes" in run("--tiou", "0.5", "--ignore_labels")


def test_an_invalid_segment_counts_as_an_instance_that_no_detection_finds(run: Run) -> None:
    results = {
        "v0": [
            {"label": "Diving", "score": 0.9, "segment": [0, 4]},
            {"label": "Diving", "score": 0.8, "segment": [9, 5]},
            {"label": "Diving", "score": 0.8, "segment": [-1, -1]},
            {"label": "Diving", "score": 0.8, "segment": [0, -1]},
        ],
        "v1": [{"label": "Diving", "score": 1, "segment": [2, 3]}],
    }
    flags = ["--tiou", "0.5", "--classes", "Diving"]
    assert "mAP %  100.00" in run(*flags, results=results)
    change_truth(
        {"label": "Diving", "segment": [9, 5]}, {"label": "Diving", "segment": [-1.0, -1.0]}
    )
    output = run(*flags, results=results)
    assert "mAP %  50.00" in output
    assert "evaluated: 3 videos, 4 instances of 1 classes" in output
    assert (
        "warning: 2 invalid annotated segments count as instances that no detection can find "
        "(first: v0, annotation 2: segment [9, 5] ends before it starts); correct them, or use "
        "--strict to stop at them" in output
    )
    assert "2 problems" in run(*flags, "--strict", results=results, exits=2)
    change_truth({"label": "Diving", "segment": [9, 5]}, video="v1")
    error = run(*flags, results=results, exits=2)
    assert (
        "3 of the 5 annotated segments to evaluate are invalid, such as v0, annotation 2" in error
    )


def test_an_invalid_segment_elsewhere_changes_nothing(run: Run) -> None:
    before = run()
    change_truth({"label": "Shotput", "segment": [9, 5]}, video="w0")
    first, _, rest = run().partition("\n")
    assert rest == before
    assert first == (
        "warning: 1 invalid annotated segments are in videos that are not evaluated, of which only "
        "the labels are read (first: w0, annotation 2: segment [9, 5] ends before it "
        "starts); correct them, or use --strict to stop at them"
    )
    error = run("--strict", exits=2)
    assert "gt.json: w0, annotation 2: segment [9, 5] ends before it starts" in error


def test_command_on_some_classes_and_thresholds(run: Run) -> None:
    output = run("--classes", "CliffDiving", "--tiou", "0.5:0.95:0.05", "0.3", "--json", "o.json")
    assert "detections left out, in videos or of classes not chosen: 3" in output
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert list(report["classes"]) == ["CliffDiving"]
    assert report["tiou"] == [0.3, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    error = run("--classes", "Surfing", exits=2)
    assert "--classes Surfing: not annotated in subset 'test', which has CliffDiving, D" in error
    for word in ("high", "0", "1.5", "0.9:0.1:0.1", "0.1:0.9:0", "nan"):
        assert f"--tiou {word!r} is not a threshold" in run("--tiou", word, exits=2)
    error = run("--error_tiou", "0.1", exits=2)
    assert "error tIoU 0.1 and background tIoU 0.1 do not fit together" in error


def test_command_chooses_the_subset(run: Run) -> None:
    assert "subset: training (as requested)" in run("--subset", "training")
    error = run("--subset", "val", exits=2)
    assert "--subset 'val' is not in the ground truth; it has test (3 videos), training (1" in error
    error = run(results={"x": []}, exits=2)
    assert "no video of the prediction file is in the ground truth" in error
    error = run(results={}, exits=2)
    assert "has no video; give --subset, one of test (3 videos), training (1 videos)" in error
    assert "0.00" in run("--subset", "test", results={})
    Path("list.txt").write_text("v2\n", encoding="utf-8")
    assert "nothing to evaluate" in run("--videos", "list.txt", exits=2)


def test_a_class_without_a_chosen_instance_is_null_in_json(run: Run) -> None:
    Path("list.txt").write_text("v1\n", encoding="utf-8")
    output = run("--videos", "list.txt", "--json", "o.json")
    assert "CliffDiving" not in output
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert report["classes"]["CliffDiving"] == {"instances": 0, "detections": 0, "AP": None}


def test_command_does_not_import_what_takes_long() -> None:
    listed = "import eval.detection.command, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True)
    slow = {"torch", "pandas", "sklearn", "scipy", "matplotlib", "jinja2"}
    assert not slow & set(done.stdout.split())


def test_command_as_a_user_starts_it(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "activitynet" / "activitynet_v1-2.json"
    database = read_database(source)
    perfect = ground_truth(v for v in database.values() if v.subset == "validation")
    write_predictions(tmp_path / "pred.json", perfect)
    command = [sys.executable, "-m", "eval.detection", "--tiou", "0.5:0.95:0.05"]
    files = ["--ground_truth", str(source), "--predictions", str(tmp_path / "pred.json")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=True)
    assert "subset: validation" in done.stdout
    assert "average mAP %   .5-.95: 100.00" in done.stdout
    done = subprocess.run([*command, *files[:3], "no.json"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "eval.detection: error: prediction file no.json does not exist; check the path\n"
    )


@pytest.mark.parametrize("name", ["ActivityNet13", "ActivityNet1.3", "ActivityNet12"])
def test_a_data_set_sets_the_defaults(name: str, run: Run) -> None:
    output = run("--dataset", name, "--json", "o.json")
    assert "average mAP %   .5-.95: 25.00\n" in output
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert report["tiou"] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert next(iter(report["errors"]["missed_by_length"])) == "up to 30 s"
    assert next(iter(report["errors"]["missed_by_number"])) == "up to 1"
    given = ["--tiou", "0.5", "--length_edges", "7", "--number_edges", "2"]
    run("--dataset", name, "--json", "o.json", *given)
    report = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert report["tiou"] == [0.5]
    assert list(report["errors"]["missed_by_length"]) == ["up to 7 s", "over 7 s"]
    assert list(report["errors"]["missed_by_number"]) == ["up to 2", "over 2"]
    assert "--dataset: unknown data set 'UCF'; known are THUMOS" in run("--dataset", "UCF", exits=2)
