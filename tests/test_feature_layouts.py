"""Features and annotations as other repositories store them, read as the plain layout."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from config.datasets import THUMOS14
from dataset.dataset import Dataset
from dataset.features.conversion import convert
from dataset.features.files import AXES, FeatureForm
from dataset.layouts import read_dataset
from dataset.pickled_arrays import read_array
from dataset.timing import SnippetTiming
from eval.segments import ground_truth
from tests.data_folder import make_data
from tests.joint_files import NAME, as_joint, as_two_streams, feature_files, objects
from tests.program import run_main
from utils.errors import UserError

HALF = 8  # channels of a stream


def read(folder: Path, **changes: Any) -> Dataset:
    return read_dataset(folder, THUMOS14.classes, timing=SnippetTiming(16, 25), **changes)


def change_files(folder: Path, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Path:
    for path in feature_files(folder):
        np.save(path, change(np.load(path)))
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


FLAGS = ["--epochs", 1, "--batch_size", 3, "--num_snippets", 20, "--without_wandb"]


def train(folder: Path, *flags: object) -> dict[str, Any]:
    """Trains for one epoch; returns all that is logged except for times."""
    run_main([*FLAGS, *flags, "--data_dir", folder])
    log = next((folder / "save").rglob("metrics.jsonl")).read_text()
    return {key: v for key, v in json.loads(log).items() if not key.startswith("seconds")}


def test_training_gives_the_same_numbers_with_every_layout(plain: Path, tmp_path: Path) -> None:
    two = as_two_streams(plain, tmp_path / "two")
    joint = as_joint(plain, tmp_path / "joint")
    turned = Path(shutil.copytree(plain, tmp_path / "turned"))
    change_files(turned, lambda x: np.concatenate([x[:, HALF:], x[:, :HALF]], 1)[None])
    expected = train(plain)
    assert expected["loss/total"] > 0
    assert train(two) == expected
    assert train(turned, "--channel_order", "flow_rgb", "--feature_axes", "1TD") == expected
    assert train(joint) == expected
    checkpoint = next((turned / "save").rglob("THUMOS_latest.pth"))  # knows how to read the files
    out = run_main(["--test", "--checkpoint", checkpoint, "--data_dir", turned])
    assert f"{expected['average .1-.7']:.2f}" in out


def test_layouts_that_are_not_clear_are_errors(plain: Path, tmp_path: Path) -> None:
    as_two_streams(plain, tmp_path / "two")
    shutil.copytree(tmp_path / "two" / "features" / "train", plain / "train", dirs_exist_ok=True)
    with pytest.raises(UserError, match="more than one layout: two_streams and plain; choose"):
        read(plain)
    with pytest.raises(UserError, match=r"--layout joint: .* has no \*-JOINTFeatures"):
        read(plain, layout="joint")
    with pytest.raises(UserError, match=r"no <split>/<video>\.npy, but .* two_streams; --layout"):
        read(tmp_path / "two", layout="plain")
    joint = as_joint(plain, tmp_path / "joint")
    with pytest.raises(
        UserError, match=r"no folders rgb/ and flow/, but .* layout joint; --layout"
    ):
        read(joint, layout="two_streams")


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
    with pytest.raises(
        UserError, match=r"subset\.npy has 9 entries, but there are features of 10 videos"
    ):
        read(joint)
    path.unlink()
    with pytest.raises(UserError, match=r"subset\.npy cannot be read: No such file"):
        read(joint)


def edit_column(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = folder / f"{NAME}-Annotations" / f"{name}.npy"
    np.save(path, change(read_array(path)), allow_pickle=True)


def test_a_malicious_data_set_is_refused_by_the_program(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    touched = tmp_path / "touched"

    class Touch:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {touched}",)

    edit_column(joint, "labels", lambda labels: objects([[Touch()] for _ in labels]))
    out = run_main(["--data_dir", joint, "--epochs", 1, "--without_wandb"], status=2)
    assert "is refused" in out
    assert "Traceback" not in out
    assert not touched.exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("videoname", "../../outside", "is not a plain video name"),
        ("videoname", "video_train_0000001", "video_train_0000001 is there twice"),
        ("labels", [{}], "cannot be used"),
        ("labels", ["Chess"], "unknown label 'Chess'"),
        ("segments", [["x", None]], r"segment \['x', None\] is not \[start, end\]"),
        ("duration", "long", "duration 'long' is not a positive number"),
    ],
)
def test_wrong_entries_of_annotation_arrays_are_errors(
    plain: Path, tmp_path: Path, name: str, value: Any, message: str
) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    edit_column(joint, name, lambda column: objects([*column[:4], value, *column[5:]]))
    with pytest.raises(UserError, match=message):
        read(joint, strict=True)


def test_lists_that_contain_themselves_are_an_error(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    endless: list[Any] = []
    endless.append(endless)
    edit_column(joint, "labels", lambda column: objects([endless, *column[1:]]))
    with pytest.raises(UserError, match="lists in lists"):
        read(joint)


def test_gt_json_replaces_the_annotation_arrays(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    content = json.loads((plain / "gt.json").read_text())
    content["database"]["video_train_0000000"]["annotations"][0]["label"] = "Shotput"
    (joint / "gt.json").write_text(json.dumps(content))
    for name in ("subset", "labels", "labels_all", "segments", "duration"):
        (joint / f"{NAME}-Annotations" / f"{name}.npy").unlink()
    data = read(joint)
    assert f"layout: joint (as of W-TALC), {NAME}-I3D-JOINTFeatures.npy and gt.json" in (
        capsys.readouterr().out
    )
    assert data.database["video_train_0000000"].labels == ("Shotput",)
    convert(joint, tmp_path / "converted", np.dtype("float32"))
    assert_same(data, read(tmp_path / "converted"))


def test_training_labels_are_those_of_the_videos(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    edit_column(joint, "labels_all", lambda c: objects([[*each, "Shotput"] for each in c]))
    data = read(joint)
    assert all("Shotput" in video.labels for video in data.splits["train"].videos)
    assert not any("Shotput" in video.labels for video in data.splits["test"].videos)


@pytest.mark.parametrize("extra", [[], [b"testing"]])
def test_subsets_of_activitynet(plain: Path, tmp_path: Path, extra: list[bytes]) -> None:
    """The subset testing has no labels."""
    subsets = {"train": b"training", "test": b"validation"}
    joint = as_joint(plain, tmp_path / "joint", subsets)
    if extra:
        edit_column(joint, "subset", lambda c: np.array([*c[:3], *extra, *c[4:]]))
        for name in ("labels", "labels_all", "segments"):
            edit_column(joint, name, lambda c: objects([*c[:3], [], *c[4:]]))
    data = read(joint)
    assert len(data.splits["train"].videos) == 6
    assert len(data.splits["test"].videos) == 4 - len(extra)


def test_videos_whose_features_are_zero_count_as_missing(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = plain / "train" / "video_train_0000003.npy"
    np.save(path, np.zeros_like(np.load(path)))
    data = read(as_joint(plain, tmp_path / "joint"))
    assert "1 of 10 videos have no features, or only zeros" in capsys.readouterr().out
    assert len(data.splits["train"].videos) == 5


def test_the_annotations_of_the_same_data_set_are_taken(plain: Path, tmp_path: Path) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    (joint / "ActivityNet1.2-Annotations").mkdir()
    assert_same(read(plain), read(joint))
    (joint / f"{NAME}-Annotations").rename(joint / "Other-Annotations")
    with pytest.raises(UserError, match=f"needs the folder .*{NAME}-Annotations"):
        read(joint)
    shutil.copyfile(joint / f"{NAME}-I3D-JOINTFeatures.npy", joint / "a-JOINTFeatures.npy")
    with pytest.raises(UserError, match="several joint feature files"):
        read(joint)


def test_memory_of_a_joint_file_is_said(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = as_joint(plain, tmp_path / "joint")
    assert_same(read(plain), read(joint, memory_budget=0))
    assert "in memory all the same, as they are in one file; python -m dataset.features" in (
        capsys.readouterr().out
    )


def test_unequal_streams_are_said(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(as_two_streams(plain, tmp_path / "two"))
    out = capsys.readouterr().out
    assert "train: 6 of 6 videos are cut to the shorter stream, such as video_train_0000000" in out


def test_transposed_files_with_flow_first(plain: Path, tmp_path: Path) -> None:
    """Recognized as transposed also where an axis of length 1 comes first."""
    expected = read(plain)
    change_files(plain, lambda x: np.concatenate([x[:, HALF:], x[:, :HALF]], 1).T[None])
    for name in ("video_train_0000001", "video_test_0000001"):  # of length 1, which looks odd
        assert np.load(plain / name.split("_")[1] / f"{name}.npy").shape == (1, 2 * HALF, 1)
    with pytest.raises(UserError, match="if the files are transposed, --feature_axes DT"):
        read(plain, form=FeatureForm("1TD", flow_first=True))
    assert_same(expected, read(plain, form=FeatureForm("1DT", flow_first=True)))
    out = read(plain, form=FeatureForm("1TD"))  # with a warning
    assert out.feature_dim == 2 * HALF


@pytest.mark.parametrize(("stride", "count"), [(64, 10), (24, 2)])
def test_real_features_of_other_strides(
    real_data: Path, tmp_path: Path, stride: int, count: int
) -> None:
    samples = real_data / "i3d_samples"
    database: dict[str, Any] = {}
    (tmp_path / "features").mkdir()
    for name, known in json.loads((samples / "videos.json").read_text()).items():
        if known.get("seconds_per_snippet") == stride / 25:
            path = tmp_path / "features" / f"{name}.npy"
            shutil.copyfile(samples / "features" / path.name, path)
            subset = "train" if len(database) % 2 else "test"
            annotations = [{"segment": [0, known["duration"] / 2], "label": "Diving"}]
            database[name] = {
                "subset": subset,
                "duration": known["duration"],
                "annotations": annotations,
            }
    assert len(database) == count
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    flags = ["--data_dir", tmp_path, *FLAGS, "--fc_dim", 8]
    out = run_main([*flags, "--snippet_frames", stride, "--save_dir", tmp_path / "right"])
    assert "do not span their duration" not in out
    lines = (tmp_path / "right" / "metrics.jsonl").read_text()
    assert json.loads(lines)["loss/total"] > 0
    data = read_dataset(tmp_path, THUMOS14.classes, timing=SnippetTiming(16, 25))
    assert data.feature_dim == 2048
