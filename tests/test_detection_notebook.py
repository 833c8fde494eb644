"""Data frames in a notebook: readers, scores, the example of the docstring."""

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.detection import notebook
from eval.detection.notebook import read_annotations, read_detections, score_arrays, score_frames
from utils.errors import UserError


def test_the_example_of_the_docstring() -> None:
    result = doctest.testmod(notebook)
    assert result.attempted >= 4
    assert result.failed == 0


def test_the_example_of_the_readme() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    code = next(
        part.partition("```")[0] for part in text.split("```python\n") if "score_frames(" in part
    )
    *lines, last = code.rstrip().splitlines()
    values: dict[str, pd.DataFrame] = {}
    exec("\n".join([*lines, f"result = {last}"]), values)
    assert list(values["result"].loc["mean"]) == [2, 1, 50, 50]


TRUTH = pd.DataFrame(
    {
        "video": ["a", "a", "b", "a"],
        "label": ["Diving", "Shotput", "Diving", "Ambiguous"],
        "start": [0, 6, 2, 20],
        "end": [4, 9, 3, 30],
    }
)
FOUND = pd.DataFrame(
    {
        "video": ["a", "a", "b", "a"],
        "label": ["Diving", "Diving", "Diving", "Shotput"],
        "start": [0.0, 21, 8, 6],
        "end": [4.0, 22, 9, 8],
        "score": [0.9, 0.95, 0.1, 1],
    }
)


def test_scores_of_frames() -> None:
    scores = score_frames(TRUTH, FOUND, [0.5, 0.7])
    assert list(scores.loc["mean"]) == [3, 4, 62.5, 12.5]
    assert list(scores.index) == ["Diving", "Shotput", "mean"]
    assert scores.attrs["protocol"] == "activitynet"
    kit = score_frames(TRUTH, FOUND, [0.5, 0.7], protocol="thumos-kit")
    assert list(kit.loc["mean"]) == [3, 4, 75, 25]
    assert kit.attrs["protocol"] == "thumos-kit"
    every = score_frames(TRUTH, FOUND, [0.5], ignore_labels=())
    assert every.loc["Ambiguous", "instances"] == 1
    pd.testing.assert_frame_equal(every, score_arrays(TRUTH, FOUND, [0.5]))
    toolkit = {"video": "video-id", "start": "t-start", "end": "t-end"}
    renamed = FOUND.rename(columns=toolkit).assign(rank=1)
    pd.testing.assert_frame_equal(
        score_frames(TRUTH.rename(columns=toolkit), renamed, [0.5, 0.7]), scores
    )


def test_refuses() -> None:
    with pytest.raises(UserError, match="predictions has no column score; wanted video, label, st"):
        score_frames(TRUTH, TRUTH)
    with pytest.raises(UserError, match="truth: row 0 ends at 4 s, before it starts at 5 s"):
        score_frames(TRUTH.assign(start=[5, 6, 2, 20]), FOUND)
    with pytest.raises(
        UserError, match="protocol is 'coco'; wanted one of activitynet, thumos-kit"
    ):
        score_frames(TRUTH, FOUND, protocol="coco")


def test_readers_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FOUND.to_csv(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(read_detections(tmp_path / "p.csv"), FOUND)
    TRUTH.assign(subset=["x", "x", "y", "x"]).to_csv(tmp_path / "gt.csv")
    frame = read_annotations(tmp_path / "gt.csv")
    assert frame["subset"].tolist() == ["x", "x", "x", "y"]
    assert set(map(tuple, frame.iloc[:, :4].to_numpy())) == set(map(tuple, TRUTH.to_numpy()))
    assert read_annotations(str(tmp_path / "gt.csv"), "y")["video"].tolist() == ["b"]
    with pytest.raises(UserError, match=r"subset 'z' is not in .*; it has 'x', 'y'"):
        read_annotations(tmp_path / "gt.csv", "z")
    assert "CSV (comma)" in capsys.readouterr().out
    empty = read_detections(write(tmp_path / "empty.json", '{"results": {"a": []}}'))
    assert list(empty.columns) == ["video", "label", "start", "end", "score"]
    assert empty.empty


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_readers_of_the_kit(tmp_path: Path) -> None:
    write(tmp_path / "Diving_test.txt", "b 2 3\na 0 4\n")
    write(tmp_path / "Jump_test.txt", "a 5 6\n")
    write(tmp_path / "detclasslist.txt", "1 Diving\n2 Jump\n")
    frame = read_annotations(tmp_path, "test")
    assert frame.to_numpy().tolist() == [
        *(
            ["b", "Diving", 2, 3, "test"],
            ["a", "Diving", 0, 4, "test"],
            ["a", "Jump", 5, 6, "test"],
        ),
    ]
    names = str(tmp_path / "detclasslist.txt")
    found = read_detections(write(tmp_path / "p.txt", "a.mp4 5 6 2 0.5\n"), class_names=names)
    assert found.to_numpy().tolist() == [["a", "Jump", 5, 6, 0.5]]


def test_frames_of_real_files(real_data: Path, golden: Path) -> None:
    values = np.load(golden / "thumos_kit.npz")
    truth = read_annotations(real_data / "thumos14_kit")
    found = read_detections(real_data / "predictions" / "thumos14_test.json")
    tiou = values["tiou"].tolist()
    scores = score_frames(truth, found, tiou, protocol="thumos-kit")
    names = [str(name) for name in values["class_names"]]
    table = scores.loc[names].filter(like="AP@").to_numpy().T / 100
    np.testing.assert_allclose(table, values["ap"], rtol=0, atol=1e-9)
