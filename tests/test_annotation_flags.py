"""The flags of main_thu.py about the content of gt.json, from training to evaluation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data_folder import LABELS, edit_json, make_data
from tests.program import run_main

FLAGS = "--num_snippets 24 --epochs 1 --device cpu --without_wandb --save_dir run --data_dir data"
TRAIN, TEST = "video_train_0000000", "video_test_0000000"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_data(Path("data"))


def table(output: str) -> list[str]:
    """The lines of the mAP table."""
    return [line for line in output.splitlines() if line.startswith(("tIoU", "mAP", "average"))]


def run(*flags: str, status: int = 0) -> str:
    return run_main([*FLAGS.split(), *flags], status)


def each_annotation(change: Callable[[dict[str, Any]], object]) -> None:
    """Changes every annotation."""
    edit_json(
        Path("data/gt.json"),
        lambda content: [
            change(item) for video in content["database"].values() for item in video["annotations"]
        ],
    )


def test_other_spellings_of_labels(data: Path) -> None:
    expected = table(run())
    each_annotation(lambda item: item.update(label=item["label"].lower()))
    assert "--label_aliases similar makes such labels the same class" in run(status=2)
    assert table(run("--label_aliases", "similar")) == expected
    checkpoint = ["--test", "--checkpoint", "run/THUMOS_latest.pth"]
    assert table(run(*checkpoint)) == expected  # the checkpoint brings the flag along
    pairs = {label.lower(): label for label in LABELS}
    Path("aliases.json").write_text(json.dumps(pairs))
    assert table(run("--label_aliases", "aliases.json")) == expected


def test_labels_that_are_numbers(data: Path) -> None:
    expected = table(run())
    each_annotation(lambda item: item.update(label=LABELS.index(item["label"])))
    assert "label 0 is not a class name; --class_names FILE" in run(status=2)
    Path("names.txt").write_text("\n".join(LABELS))
    assert table(run("--class_names", "names.txt")) == expected


def test_labels_that_are_no_class(data: Path) -> None:
    expected = table(run())
    extra = [{"segment": [0, 1], "label": name} for name in ("Ambiguous", "Unclear")]
    edit_json(data / "gt.json", lambda c: c["database"][TEST]["annotations"].extend(extra))
    assert "unknown label 'Unclear'" in run(status=2)
    output = run("--ignore_labels", "Unclear")
    assert table(output) == expected
    for label in ("Ambiguous", "Unclear"):
        assert f"annotations ignored: 1 with the label {label} (--ignore_labels)" in output


def test_invalid_segments_stop_nothing(data: Path) -> None:
    expected = run()
    bad = [{"segment": [-1.0, -1.0], "label": LABELS[0]}]
    edit_json(data / "gt.json", lambda c: c["database"][TRAIN]["annotations"].extend(bad))
    output = run()
    assert table(output) == table(expected)
    assert (
        "warning: 1 invalid annotated segments are in videos that are not evaluated, of which only "
        f"the labels are read (first: {TRAIN}, annotation 1: segment [-1.0, -1.0] lies before the "
        "start of the video)" in output
    )
    edit_json(data / "gt.json", lambda c: c["database"][TEST]["annotations"].extend(bad))
    output = run()
    assert "evaluated: 4 videos, 5 instances" in output
    assert (
        "warning: 1 invalid annotated segments count as instances that no detection can find "
        f"(first: {TEST}, annotation 1:" in output
    )
    assert "2 problems" in run("--strict", status=2)
    run("--test", "--checkpoint", "run/THUMOS_latest.pth", "--report", "--save_dir", "report")
