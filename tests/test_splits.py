"""Data directories without split files, in one flat folder, with blocked videos, checked before."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dataset.layouts
from config.datasets import ACTIVITYNET13
from dataset.dataset import Dataset
from dataset.features import check_cache
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from utils.errors import UserError

SUBSETS = {"train": "training", "test": "validation"}
ROWS = 20


def make_activitynet(
    folder: Path, place: str, subset: str = "validation", prefix: str = ""
) -> Path:
    """Six training and four test videos in one folder, and two without features or labels."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    database: dict[str, Any] = {}
    random = np.random.default_rng(0)
    for number in range(10):
        name = f"video{number}"
        training = number < 6
        database[name] = {
            "duration": ROWS * 0.64,
            "subset": "training" if training else subset,
            "annotations": [{"segment": [2, 6], "label": ACTIVITYNET13.classes[number % 2]}],
        }
        rows = random.random((ROWS, 8), dtype=np.float32)
        np.save(folder / place / f"{prefix}{name}.npy", rows)
    database["gone"] = {**database["video0"], "subset": "training"}
    database["unlabelled"] = {"duration": 9, "subset": "testing", "annotations": []}
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    return folder


def read(folder: Path, **options: Any) -> Dataset:
    timing = SnippetTiming(16, 25.0)
    return read_dataset(folder, ACTIVITYNET13.classes, timing=timing, subsets=SUBSETS, **options)


def names(data: Dataset, split: str) -> list[str]:
    return [video.name for video in data.splits[split].videos]


@pytest.mark.parametrize("place", ["features", "."])
@pytest.mark.parametrize("subset", ["validation", "val"])
@pytest.mark.parametrize("prefix", ["", "v_"])
def test_without_split_files_the_subsets_are_the_splits(
    tmp_path: Path, place: str, subset: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read(make_activitynet(tmp_path, place, subset, prefix))
    assert names(data, "train") == [f"video{i}" for i in range(6)]
    assert names(data, "test") == [f"video{i}" for i in range(6, 10)]
    printed = capsys.readouterr().out
    assert "no split_train.txt: the train split is the subset 'training'" in printed
    assert "1 others have no feature file" in printed


def test_split_files_decide_where_they_are(tmp_path: Path) -> None:
    make_activitynet(tmp_path, "features")
    (tmp_path / "split_test.txt").write_text("v_video7\nv_video8\n")
    data = read(tmp_path)
    assert names(data, "test") == ["video7", "video8"]
    assert len(names(data, "train")) == 6


def test_neither_split_file_nor_subset_is_an_error(tmp_path: Path) -> None:
    make_activitynet(tmp_path, "features", subset="other")
    with pytest.raises(UserError, match="no video of the subset 'validation'"):
        read(tmp_path)


@pytest.mark.parametrize("form", ["json", "txt"])
def test_blocked_videos_are_left_out_everywhere(tmp_path: Path, form: str) -> None:
    make_activitynet(tmp_path, "features")
    blocked = tmp_path / f"blocked.{form}"
    listed = ["v_video0", "video9", "elsewhere"]
    blocked.write_text(json.dumps(listed) if form == "json" else "\n".join(listed))
    data = read(tmp_path, blocked_videos=str(blocked))
    assert names(data, "train") == [f"video{i}" for i in range(1, 6)]
    assert names(data, "test") == ["video6", "video7", "video8"]
    assert not {"video0", "video9"} & data.database.keys()


def test_a_blocked_video_may_be_in_a_split_file_under_its_other_name(tmp_path: Path) -> None:
    make_activitynet(tmp_path, "features")
    (tmp_path / "split_test.txt").write_text("v_video7\nv_video8\n")
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("video7\n")
    assert names(read(tmp_path, blocked_videos=str(blocked)), "test") == ["video8"]


def test_checked_files_are_not_read_again_unless_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_activitynet(tmp_path, "features")
    first = read(tmp_path, memory_budget=0)
    read_features = dataset.layouts.read_features
    again: list[int] = []

    def counted(files: Any, *rest: Any) -> Any:
        again.append(len(files))
        return read_features(files, *rest)

    monkeypatch.setattr(dataset.layouts, "read_features", counted)
    second = read(tmp_path, memory_budget=0)
    assert not again
    assert second.fingerprint == first.fingerprint
    index = torch.tensor([1]), torch.tensor([[3, 5]])
    one, other = (data.splits["train"].features.gather(*index) for data in (first, second))
    assert one.equal(other)

    path = tmp_path / "features" / "video1.npy"
    changed = np.load(path)
    changed[4, 2] = np.nan
    np.save(path, changed)
    with pytest.raises(
        UserError, match=r"video1.npy has NaN or infinite values, first in snippet 4"
    ):
        read(tmp_path, memory_budget=0)
    assert again == [6]
    with pytest.raises(
        UserError, match="NaN"
    ):  # a file with a problem is not remembered as checked
        read(tmp_path, memory_budget=0)


@pytest.mark.parametrize("content", ["", "{", '{"version": 1}', '{"version": 1, "files": 3}'])
def test_a_damaged_cache_is_ignored(tmp_path: Path, content: str) -> None:
    make_activitynet(tmp_path, "features")
    (tmp_path / check_cache.NAME).write_text(content)
    assert len(names(read(tmp_path, memory_budget=0), "train")) == 6
    assert json.loads((tmp_path / check_cache.NAME).read_text())["version"] == check_cache.VERSION
