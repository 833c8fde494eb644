"""Features and annotations as other repositories store them, read as the plain layout."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from config.datasets import THUMOS14
from dataset.features.conversion import convert
from dataset.features.files import AXES, FeatureForm
from dataset.layouts import Dataset, read_dataset
from dataset.pickled_arrays import read_array
from dataset.timing import SnippetTiming
from eval.segments import ground_truth
from tests.data_folder import make_data
from tests.program import run_main
from utils.errors import UserError

HALF = 8  # channels of a stream


def read(folder: Path, **changes: Any) -> Dataset:
    return read_dataset(folder, THUMOS14.classes, timing=SnippetTiming(16, 25), **changes)


def objects(items: list[Any]) -> NDArray[np.object_]:
    """An array of Python objects, as the field's files have them."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def feature_files(folder: Path) -> list[Path]:
    return sorted(path for split in ("train", "test") for path in (folder / split).glob("*.npy"))


def change_files(folder: Path, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Path:
    for path in feature_files(folder):
        np.save(path, change(np.load(path)))
    return folder


def as_two_streams(plain: Path, folder: Path) -> Path:
    """Writes the same data with one file per stream, the flow files one snippet longer."""
    for path in feature_files(plain):
        features = np.load(path)
        longer = np.concatenate([features, features[-1:]])
        for stream, array in (("rgb", features[:, :HALF]), ("flow", longer[:, HALF:])):
            target = folder / "features" / path.parent.name / stream / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, array)
    for name in ("gt.json", "split_train.txt", "split_test.txt"):
        shutil.copyfile(plain / name, folder / name)
    return folder


def as_joint(plain: Path, folder: Path) -> Path:
    """Writes the same data in one file, with annotation arrays of bytes as Python 2 wrote them."""
    annotations = folder / "Thumos14reduced-Annotations"
    annotations.mkdir(parents=True)
    database = json.loads((plain / "gt.json").read_text())["database"]
    files = {path.stem: path for path in feature_files(plain)}
    names = sorted(database)  # in another order than the split files
    features = objects([np.load(files[name]) for name in names])
    with (folder / "Thumos14reduced-I3D-JOINTFeatures.npy").open("wb") as file:
        np.lib.format.write_array(file, features, allow_pickle=True)
    entries = [database[name] for name in names]
    subset = {"train": b"validation", "test": b"test"}
    columns = {
        "videoname": np.array([name.encode() for name in names]),
        "subset": np.array([subset[entry["subset"]] for entry in entries]),
        "duration": np.array([[entry["duration"]] for entry in entries]),
        "labels": objects([[a["label"] for a in entry["annotations"]] for entry in entries]),
        "segments": objects([[a["segment"] for a in entry["annotations"]] for entry in entries]),
        "classlist": np.array([name.encode() for name in THUMOS14.classes]),
    }
    for name, column in columns.items():
        np.save(annotations / f"{name}.npy", column, allow_pickle=True)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return make_data(tmp_path / "plain")


def by_video(data: Dataset, split: str) -> dict[str, tuple[Any, ...]]:
    """Features, labels and segments of each video of a split."""
    found, features = {}, data.splits[split].features
    for number, video in enumerate(data.splits[split].videos):
        length = int(features.lengths[number])
        rows = np.arange(length)[None]
        snippets = features.gather(torch.tensor([number]), torch.from_numpy(rows))[0]
        labels = data.splits[split].labels[number].tolist()
        found[video.name] = (snippets.numpy().tolist(), labels, video.segments, video.duration)
    return found


def assert_same(one: Dataset, other: Dataset) -> None:
    for split in ("train", "test"):
        assert by_video(one, split) == by_video(other, split)
    truth = [ground_truth(data.database.values(), data.classes) for data in (one, other)]
    assert len(truth[0]) == len(truth[1]) > 0


@pytest.mark.parametrize("write", [as_two_streams, as_joint])
def test_other_layouts_are_recognized_and_read_as_the_same_data(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Any
) -> None:
    other = write(plain, tmp_path / "other")
    expected = read(plain)
    capsys.readouterr()
    found = read(other)
    name = write.__name__.removeprefix("as_")
    assert f"layout: {name}" in capsys.readouterr().out
    assert_same(expected, found)
    assert_same(expected, read(other, layout=name))
    if write is as_two_streams:
        assert_same(expected, read(other, memory_budget=0))  # read from the files as needed


@pytest.mark.parametrize("write", [as_two_streams, as_joint])
def test_the_converter_writes_the_plain_layout(plain: Path, tmp_path: Path, write: Any) -> None:
    other = write(plain, tmp_path / "other")
    convert(other, tmp_path / "converted", np.dtype("float32"))
    names = {path.name for path in (tmp_path / "converted").iterdir()}
    assert names == {"train", "test", "gt.json", "split_train.txt", "split_test.txt"}
    assert_same(read(plain), read(tmp_path / "converted"))


CHANGES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "TD": lambda x: x,
    "DT": lambda x: np.ascontiguousarray(x.T),
    "1TD": lambda x: x[None],
    "TCD": lambda x: np.stack([x - 1, x + 1] * 5, 1),
    "CTD": lambda x: np.stack([x - 1, x + 1] * 5),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("budget", [0, 1e9])
def test_axes_of_the_feature_files(plain: Path, tmp_path: Path, axes: str, budget: float) -> None:
    expected = read(change_files(plain, lambda x: x.astype(np.float64)))
    changed = change_files(Path(shutil.copytree(plain, tmp_path / "changed")), CHANGES[axes])
    found = read(changed, form=FeatureForm(axes), memory_budget=budget)
    for split in ("train", "test"):
        one, other = by_video(expected, split), by_video(found, split)
        for name in one:
            np.testing.assert_allclose(one[name][0], other[name][0], atol=1e-6)


@pytest.mark.parametrize("axes", ["1TD", "TCD", "CTD"])
def test_other_axes_are_an_error_that_names_the_flag(plain: Path, axes: str) -> None:
    change_files(plain, CHANGES[axes])
    with pytest.raises(UserError, match=f"--feature_axes {axes}"):
        read(plain)


def test_a_transposed_file_among_others_names_the_flag(plain: Path) -> None:
    with pytest.raises(UserError, match=r"wanted those of 1TD; --feature_axes TD reads"):
        read(plain, form=FeatureForm("1TD"))


@pytest.mark.parametrize("budget", [0, 1e9])
def test_flow_first_files_are_read_with_rgb_first(
    plain: Path, tmp_path: Path, budget: float
) -> None:
    expected = read(plain)
    turned = Path(shutil.copytree(plain, tmp_path / "turned"))
    change_files(turned, lambda x: np.concatenate([x[:, HALF:], x[:, :HALF]], 1))
    form = FeatureForm(flow_first=True)
    assert_same(expected, read(turned, form=form, memory_budget=budget))
    assert_same(expected, read(turned, form=form, memory_budget=budget))  # from the cache of checks
    convert(turned, tmp_path / "converted", np.dtype("float32"), form=form)
    assert_same(expected, read(tmp_path / "converted"))
    change_files(turned, lambda x: x[:, :15])
    with pytest.raises(UserError, match="15 channels, which --channel_order flow_rgb cannot halve"):
        read(turned, form=form)


def test_training_gives_the_same_numbers_with_every_layout(plain: Path, tmp_path: Path) -> None:
    two = as_two_streams(plain, tmp_path / "two")
    turned = Path(shutil.copytree(plain, tmp_path / "turned"))
    change_files(turned, lambda x: np.concatenate([x[:, HALF:], x[:, :HALF]], 1)[None])
    losses = []
    flags = ["--epochs", 1, "--batch_size", 3, "--num_snippets", 20, "--without_wandb"]
    for folder, more in (
        (plain, []),
        (two, []),
        (turned, ["--channel_order", "flow_rgb", "--feature_axes", "1TD"]),
    ):
        run = tmp_path / f"run-{folder.name}"
        run_main([*flags, *more, "--data_dir", folder, "--save_dir", run])
        metrics = json.loads((run / "metrics.jsonl").read_text())
        losses.append({k: v for k, v in metrics.items() if not k.startswith("seconds")})
    assert losses[0] == losses[1] == losses[2]
    joint = as_joint(plain, tmp_path / "joint")
    run_main([*flags, "--data_dir", joint, "--save_dir", tmp_path / "run-joint"])
    checkpoint = tmp_path / "run-turned" / "THUMOS_latest.pth"  # stores how its files are read
    out = run_main(["--test", "--checkpoint", checkpoint, "--data_dir", turned])
    assert f"{losses[0]['average .1-.7']:.2f}" in out


def test_layouts_that_are_not_clear_are_errors(plain: Path, tmp_path: Path) -> None:
    as_two_streams(plain, tmp_path / "two")
    shutil.copytree(tmp_path / "two" / "features" / "train", plain / "train", dirs_exist_ok=True)
    with pytest.raises(UserError, match="more than one layout: two_streams and plain; choose"):
        read(plain)
    with pytest.raises(UserError, match=r"--layout joint: .* has no \*-JOINTFeatures"):
        read(plain, layout="joint")


def test_streams_of_different_lengths_are_an_error(plain: Path, tmp_path: Path) -> None:
    two = as_two_streams(plain, tmp_path / "two")
    path = two / "features" / "train" / "flow" / "video_train_0000000.npy"
    np.save(path, np.load(path)[:-5])
    with pytest.raises(UserError, match="wanted the same number"):
        read(two)


def test_joint_files_that_do_not_fit_together_are_errors(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    path = joint / "Thumos14reduced-Annotations" / "subset.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(UserError, match=r"subset\.npy has 9 entries and .* 10 videos"):
        read(joint)
    path.unlink()
    with pytest.raises(UserError, match=r"subset\.npy cannot be read: No such file"):
        read(joint)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.reduced


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open({!r}, 'w')",), "eval"),
        (np.load, ("{}",), "numpy.load"),
        (np.fromfile, ("{}",), "fromfile"),
        (getattr, (os, "system"), "getattr"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_file_is_refused_and_does_nothing(
    tmp_path: Path, function: Any, arguments: tuple[Any, ...], named: str, protocol: int
) -> None:
    touched = tmp_path / "touched"
    filled = [a.format(str(touched)) if isinstance(a, str) else "os" for a in arguments]
    path = tmp_path / "x.npy"
    nested = objects([np.ones(2), [objects([Call(function, *filled)])]])
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": (2,)}
        )
        pickle.dump(nested, file, protocol=protocol)
    with pytest.raises(UserError, match=rf"x\.npy is refused: it contains .*{named}.*, whose"):
        read_array(path)
    assert not touched.exists()


def test_a_malicious_data_set_is_refused_by_the_program(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    touched = tmp_path / "touched"
    labels = objects([[Call(os.system, f"touch {touched}")] for _ in range(10)])
    np.save(joint / "Thumos14reduced-Annotations" / "labels.npy", labels, allow_pickle=True)
    out = run_main(["--data_dir", joint, "--epochs", 1, "--without_wandb"], status=2)
    assert "is refused" in out
    assert not touched.exists()


def test_object_arrays_of_every_protocol_are_read(tmp_path: Path) -> None:
    items = [np.ones((2, 3), np.float16), [[1.5, 2], "a"], b"bytes", np.float64(3), None, "ü"]
    for protocol in range(5):
        path = tmp_path / f"{protocol}.npy"
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|O", "fortran_order": False, "shape": (6,)}
            )
            pickle.dump(objects(items), file, protocol=protocol)
        found = read_array(path)
        np.testing.assert_array_equal(found[0], items[0])
        assert found[1:].tolist() == items[1:]


def test_nothing_in_the_program_allows_pickles() -> None:
    root = Path(__file__).parents[1]
    for path in root.glob("*/**/*.py"):
        if path.parts[len(root.parts)] not in ("tests", ".venv"):
            assert "allow_pickle=True" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(("name", "stride"), [("v_GGSY1Qvo990", 64)])
def test_real_features_of_another_stride(
    real_data: Path, tmp_path: Path, name: str, stride: int
) -> None:
    samples = real_data / "i3d_samples"
    known = json.loads((samples / "videos.json").read_text())
    assert known
    (tmp_path / "features").mkdir()
    files = sorted((samples / "features").glob("*.npy"))
    database: dict[str, Any] = {}
    for path in files:
        length = len(np.load(path, mmap_mode="r"))
        shutil.copyfile(path, tmp_path / "features" / path.name)
        database[path.stem] = {
            "subset": "train" if len(database) % 2 else "test",
            "duration": length * stride / 25,
            "annotations": [{"label": "Diving", "segment": [0, 1]}],
        }
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    timing = SnippetTiming(stride, 25)
    data = read_dataset(tmp_path, THUMOS14.classes, timing=timing)
    assert data.feature_dim == 2048
    assert sum(len(split.videos) for split in data.splits.values()) == len(files)
