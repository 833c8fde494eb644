"""The synthetic data set: its layout, its content, and its similarity to real features."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from itertools import combinations, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from config.datasets import DATASETS
from dataset.layouts import read_dataset
from dataset.synthetic import command, writer
from dataset.synthetic.recipe import Recipe
from dataset.synthetic.timeline import (
    FRAMES_PER_SECOND,
    FRAMES_PER_SNIPPET,
    SNIPPET_SECONDS,
    Instance,
    draw_timeline,
)
from dataset.synthetic.world import BLOCK, STAGES, Floats, World, generator, make_world
from dataset.synthetic.writer import draw_video, write_dataset
from dataset.timing import SnippetTiming
from utils.errors import UserError

THUMOS14 = DATASETS["THUMOS"].classes

SMALL: dict[str, Any] = {"train_videos": 12, "test_videos": 6, "classes": 3, "mean_seconds": 20.0}

# Statistics of real two-stream I3D features: 647 snippets of 16 unrelated videos.
REAL = {
    "norm": 10.2,
    "norm 5 %": 7.6,
    "norm 95 %": 14.5,
    "RGB norm": 8.3,
    "flow norm": 5.7,
    "entries below 1e-3": 0.048,
    "smallest": 0.0,
    "cosine of neighbors": 0.83,
    "cosine of two videos' means": 0.65,
    "directions of 90 % of the variance": 169,
}


def measure(videos: Sequence[Floats]) -> dict[str, float]:
    """The statistics of REAL for the (T, 2048) features of some videos."""
    snippets = np.concatenate(videos).astype(np.float64)
    norm = np.linalg.norm(snippets, axis=1)
    means = _unit(np.stack([video.mean(axis=0) for video in videos]))
    neighbors = [(_unit(v)[1:] * _unit(v)[:-1]).sum(axis=1).mean() for v in videos]
    variance = np.linalg.svd(snippets - snippets.mean(axis=0), compute_uv=False) ** 2
    return {
        "norm": norm.mean(),
        "norm 5 %": np.quantile(norm, 0.05),
        "norm 95 %": np.quantile(norm, 0.95),
        "RGB norm": np.linalg.norm(snippets[:, :1024], axis=1).mean(),
        "flow norm": np.linalg.norm(snippets[:, 1024:], axis=1).mean(),
        "entries below 1e-3": (snippets < 1e-3).mean(),
        "smallest": snippets.min(),
        "cosine of neighbors": float(np.mean(neighbors)),
        "cosine of two videos' means": (means @ means.T)[np.triu_indices(len(means), 1)].mean(),
        "directions of 90 % of the variance": int((variance.cumsum() < 0.9 * variance.sum()).sum()),
    }


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)


def recipe(
    classes: int = 5, mean_seconds: float = 60.0, context: float = 0.3, seed: int = 0
) -> Recipe:
    return Recipe(40, 20, classes, mean_seconds, context, 1.0, seed, "float32")


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def database(folder: Path) -> dict[str, dict[str, Any]]:
    return json.loads((folder / "gt.json").read_text())["database"]


def label_sets(folder: Path, subset: str) -> list[set[str]]:
    videos = [video for video in database(folder).values() if video["subset"] == subset]
    return [{a["label"] for a in video["annotations"]} for video in videos]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "small"
    write_dataset(folder, **SMALL)
    return folder


# Features


def test_measure_gives_the_known_statistics_of_real_features(real_data: Path) -> None:
    videos = [np.load(file) for file in sorted((real_data / "i3d_samples/features").glob("*.npy"))]
    assert len(videos) == 16
    found = measure(videos)
    for name, real in REAL.items():
        # Known to two digits; rounding changes the number of directions by one.
        tolerance = 1 if name.startswith("directions") else 0.0005 if real == 0.048 else 0.05
        tolerance = 0.006 if name.startswith("cosine") else tolerance
        assert found[name] == pytest.approx(real, abs=tolerance), name


@pytest.mark.parametrize(("classes", "seed"), [(20, 0), (20, 1), (5, 0), (5, 1)])
def test_features_look_like_real_ones(classes: int, seed: int) -> None:
    world = make_world(seed, classes)
    drawn = (draw_video(recipe(classes, seed=seed), world, str(i), i)[1] for i in count())
    # As many snippets as in the real sample, because the number of directions depends on it.
    long_enough = (features for features in drawn if len(features) >= 40)
    videos = [features[:40] for features in islice(long_enough, 16)]
    found = measure(videos)
    relative = {"norm": 0.1, "norm 5 %": 0.2, "norm 95 %": 0.2, "RGB norm": 0.1, "flow norm": 0.1}
    absolute = {
        "entries below 1e-3": 0.012,
        "smallest": 0,
        "cosine of neighbors": 0.03,
        "cosine of two videos' means": 0.04,
        "directions of 90 % of the variance": 20,
    }
    for name, real in REAL.items():
        tolerance = relative.get(name, 0) * real + absolute.get(name, 0)
        assert found[name] == pytest.approx(real, abs=tolerance), name


# Timelines


def test_timelines_look_like_those_of_thumos14() -> None:
    made = recipe(classes=20, mean_seconds=205)
    timelines = [draw_timeline(generator(0, f"video_{i}"), made, i % 205) for i in range(410)]
    lengths = [np.array([end - start for start, end, _ in t.instances]) for t in timelines]
    pauses = [
        after[0] - before[1]
        for t in timelines
        for before, after in zip(t.instances, t.instances[1:], strict=False)
    ]
    seconds = np.array([t.frames / 25 for t in timelines])
    numbers = np.array([len(length) for length in lengths])
    shares = np.array([length.sum() for length in lengths]) / seconds
    every = np.concatenate(lengths)
    two = np.mean([len({label for _, _, label in t.instances}) > 1 for t in timelines])
    # THUMOS14: 203 and 212 s on average, median 155; 15 actions per video, median 8, maximum 218;
    # 4.3 s per action, median 3.1, 90 % between 0.8 and 11; 29 % of a video, from 0.05 to 0.75;
    # pauses of 6.9 s, median 2.5; 15 % of the videos with two classes.
    assert 185 < seconds.mean() < 230
    assert 120 < np.median(seconds) < 175
    assert 11 < numbers.mean() < 19
    assert 5 < np.median(numbers) < 10
    assert numbers.min() == 1
    assert 100 < numbers.max() < 450
    assert 3.4 < every.mean() < 5
    assert 2.4 < np.median(every) < 3.6
    assert np.quantile(every, 0.05) == pytest.approx(0.8, abs=0.4)
    assert np.quantile(every, 0.95) == pytest.approx(11, abs=2.5)
    assert shares.mean() == pytest.approx(0.29, abs=0.04)
    assert np.quantile(shares, 0.05) < 0.08
    assert 0.6 < np.quantile(shares, 0.95) < 0.9
    assert 5 < np.mean(pauses) < 9
    assert 1.5 < np.median(pauses) < 3.5
    assert two == pytest.approx(0.15, abs=0.06)


@pytest.mark.parametrize("classes", [1, 2, 20])
def test_a_timeline_has_no_gaps_and_its_actions_have_their_stages_in_order(classes: int) -> None:
    for index in range(60):
        made = recipe(classes=classes, mean_seconds=10 + index)
        timeline = draw_timeline(generator(0, str(index)), made, index)
        seconds = timeline.frames / 25
        starts, ends, shown = (np.array(part) for part in zip(*timeline.spans, strict=True))
        assert starts[0] == 0
        assert ends[-1] == seconds
        np.testing.assert_array_equal(starts[1:], ends[:-1])
        assert (ends >= starts).all()
        acting = (shown < classes * BLOCK) & (shown % BLOCK < STAGES)
        assert acting.sum() == STAGES * len(timeline.instances)
        np.testing.assert_array_equal(
            shown[acting],
            [label * BLOCK + i for _, _, label in timeline.instances for i in range(STAGES)],
        )
        assert all(label < classes for _, _, label in timeline.instances)
        assert all(0 <= start < end <= seconds for start, end, _ in timeline.instances)


# What the features show


def seen(world: World, features: Floats) -> NDArray[np.float64]:
    """(T, P) strength of every prototype in a snippet, by least squares before the nonlinearity."""
    before = (np.cbrt(features) - world.mean) / world.deviation
    return (before - before.mean(axis=0)) @ np.linalg.pinv(world.prototypes @ world.mixing)


def in_action(instances: list[Instance], number: int) -> NDArray[np.bool_]:
    """(T,) whether the middle of the snippet lies in an action."""
    time = (np.arange(number) + 0.5) * SNIPPET_SECONDS
    return np.array([any(start <= t < end for start, end, _ in instances) for t in time])


def test_actions_of_a_class_show_the_same_sub_actions_in_the_same_order() -> None:
    classes = 4
    made, world = recipe(classes=classes, mean_seconds=100), make_world(0, classes)
    total, number = np.zeros((classes, 5, STAGES)), np.zeros((classes, 5, 1))
    for index in range(16):
        timeline, features = draw_video(made, world, f"video_{index}", index)
        strength = seen(world, features)
        time = (np.arange(len(features)) + 0.5) * SNIPPET_SECONDS
        for start, end, label in timeline.instances:
            inside = (time >= start) & (time < end)
            fifth = ((time[inside] - start) / (end - start) * 5).astype(int)
            stages = strength[inside, label * BLOCK : label * BLOCK + STAGES]
            np.add.at(total[label], fifth, stages)
            np.add.at(number[label], fifth, 1)
    np.testing.assert_array_equal(
        (total / number).argmax(axis=2), np.tile(np.arange(5), (classes, 1))
    )


def test_classes_share_motions_at_different_stages() -> None:
    world = make_world(0, 20)
    unit = _unit(world.prototypes[: 20 * BLOCK])
    cosine = (unit @ unit.T).reshape(20, BLOCK, 20, BLOCK)[:, :STAGES, :, :STAGES]
    one, first, two, second = np.nonzero(cosine > 0.2)
    shared = one < two
    assert len(set(zip(one[shared], two[shared], strict=True))) > 100  # of 190 pairs of classes
    assert (first[shared] != second[shared]).mean() > 0.5


@pytest.mark.parametrize(("context", "least", "most"), [(0.0, 0.0, 0.05), (0.6, 0.3, 0.6)])
def test_context_surrounds_actions_and_appears_without_them(
    context: float, least: float, most: float
) -> None:
    classes = 5
    made, world = recipe(classes, 100, context), make_world(0, classes)
    beside, away = [], []
    for index in range(12):
        timeline, features = draw_video(made, world, f"video_{index}", index)
        acting = np.flatnonzero(in_action(timeline.instances, len(features)))
        distance = np.abs(np.arange(len(features))[:, None] - acting).min(axis=1)  # snippets
        views = seen(world, features)[:, : classes * BLOCK].reshape(-1, classes, BLOCK)[
            :, :, STAGES:
        ]
        own = views[:, index % classes].sum(axis=1)
        others = np.delete(views, index % classes, axis=1).sum(axis=2).mean(axis=1)
        shown = own - others > 0.25
        beside.append(shown[distance == 1])
        away.append(shown[distance > 8])
    assert np.concatenate(beside).mean() > 0.4
    assert least <= np.concatenate(away).mean() < most


# Files


def test_the_layout_is_read_back(small: Path) -> None:
    splits = {s: (small / f"split_{s}.txt").read_text().split() for s in ("train", "test")}
    assert splits["train"] == [f"video_validation_{i:07d}" for i in range(1, 13)]
    assert splits["test"] == [f"video_test_{i:07d}" for i in range(1, 7)]
    videos = database(small)
    assert list(videos) == splits["train"] + splits["test"]
    for subset, names in splits.items():
        for name in names:
            video, features = videos[name], np.load(small / subset / f"{name}.npy")
            assert features.dtype == np.float32
            assert features.shape == (int(video["duration"] * 25 / 16 + 1e-9), 2048)
            assert video["frames"] // FRAMES_PER_SNIPPET == len(features)
            assert video["subset"] == subset
            for annotation in video["annotations"]:
                start, end = annotation["segment"]
                assert 0 <= start < end <= video["duration"]
                assert annotation["label"] in THUMOS14[:3]
    read = read_dataset(
        small,
        THUMOS14,
        ["train", "test"],
        timing=SnippetTiming(FRAMES_PER_SNIPPET, FRAMES_PER_SECOND),
        workers=1,
    )
    assert [video.name for video in read.splits["test"].videos] == splits["test"]
    assert read.splits["train"].labels.sum(dim=0).bool().tolist() == [True] * 3 + [False] * 17


def test_both_splits_show_every_class_and_pairs_of_both_kinds_exist(small: Path) -> None:
    for subset in ("train", "test"):
        assert set().union(*label_sets(small, subset)) == set(THUMOS14[:3])
    pairs = list(combinations(label_sets(small, "train"), 2))
    assert any(one == two for one, two in pairs)
    assert any(not one & two for one, two in pairs)


def test_equal_arguments_give_equal_bytes_and_another_seed_does_not(
    small: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "again", **SMALL)
    assert contents(tmp_path / "again") == contents(small)
    write_dataset(tmp_path / "other", **SMALL, seed=1)
    same = {f for f, hash_ in contents(tmp_path / "other").items() if contents(small)[f] == hash_}
    assert same == {"split_train.txt", "split_test.txt"}


def test_a_video_does_not_depend_on_the_number_of_videos(small: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, **{**SMALL, "train_videos": 3, "test_videos": 4})
    for name, video in database(tmp_path).items():
        assert video == database(small)[name]
        file = Path(video["subset"]) / f"{name}.npy"
        assert (tmp_path / file).read_bytes() == (small / file).read_bytes()


def test_float16_rounds_the_same_features(small: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, **SMALL, dtype="float16")
    file = "train/video_validation_0000001.npy"
    half = np.load(tmp_path / file)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, np.load(small / file).astype(np.float16))


@pytest.mark.parametrize(("train", "test", "classes"), [(2, 1, 1), (2, 2, 2), (20, 20, 20)])
def test_small_sizes(tmp_path: Path, train: int, test: int, classes: int) -> None:
    write_dataset(tmp_path, train_videos=train, test_videos=test, classes=classes, mean_seconds=10)
    assert len(list((tmp_path / "train").iterdir())) == train
    for subset in ("train", "test"):
        assert set().union(*label_sets(tmp_path, subset)) == set(THUMOS14[:classes])


# Folders and flags


def test_a_complete_set_is_left_unchanged(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: os.stat(file).st_mtime_ns for file in small.rglob("*")}
    write_dataset(small, **SMALL)
    assert before == {file: os.stat(file).st_mtime_ns for file in small.rglob("*")}
    assert "already" in capsys.readouterr().out


def test_an_interrupted_or_damaged_set_is_written_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "draw_video", stop)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path, **SMALL)
    assert not (tmp_path / "gt.json").exists()
    write_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(small)
    (tmp_path / "test" / "video_test_0000002.npy").unlink()
    write_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(small)


def test_folders_with_other_content_are_refused_and_kept(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes 3, now 2; seed 0, now 7"):
        write_dataset(small, **{**SMALL, "classes": 2, "seed": 7})
    (tmp_path / "gt.json").write_text("mine")
    with pytest.raises(UserError, match=r"not a synthetic data set .* new or empty"):
        write_dataset(tmp_path)
    assert contents(tmp_path).keys() == {"gt.json"}
    with pytest.raises(UserError, match="new or empty"):
        write_dataset(tmp_path / "gt.json")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--classes 21", "--classes is 21; it must lie between 1 and 20"),
        ("--classes 0", "--classes is 0"),
        ("--train_videos 4", "--train_videos is 4; it must lie between 5 and 100000 (at least one"),
        ("--test_videos -1", "--test_videos is -1"),
        ("--mean_seconds nan", "--mean_seconds is nan; it must lie between 10 and 1000"),
        ("--context 1.5", "--context is 1.5; it must lie between 0 and 1"),
        ("--noise -1", "--noise is -1.0"),
        ("--seed -1", "--seed is -1"),
        ("--dtype float64", "argument --dtype: invalid choice: 'float64'"),
        ("--classes few", "argument --classes: invalid int value: 'few'"),
    ],
)
def test_a_wrong_flag_is_one_line_and_status_2(
    flags: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["synthetic", "--output", str(tmp_path / "new"), *flags.split()]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "new").exists()


def test_the_command_writes_what_its_flags_say(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [part for key, value in SMALL.items() for part in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["synthetic", "--output", str(tmp_path), *flags])
    command.main()
    assert contents(tmp_path) == contents(small)
