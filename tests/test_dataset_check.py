"""`python -m dataset.check`: what the report says of a good data directory and of a wrong one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.check import main
from dataset.feature_warnings import feature_warnings
from dataset.features.files import PLAIN, find_feature_file
from dataset.statistics import FeatureStatistics, measure_features
from tests.data_folder import edit_json
from tests.program import run_command
from utils.errors import Problems

HALF = 1024
SHAPE = 0.2  # of the gamma distribution: most entries are small
STEP = 0.64  # seconds between the starts of two snippets
CLASSES = ("jump", "wave")
LENGTHS = {"train": (20, 26, 31, 24, 28, 22), "test": (25, 30, 21)}
GOOD = "no problems, no warnings: training can start"
Features = NDArray[np.float32]


def i3d_like(rng: np.random.Generator, common: Features, snippets: int) -> Features:
    """Features (N, 2048) with the norms and the cosines of real ones."""
    own = rng.gamma(SHAPE, size=2 * HALF)
    noise = rng.gamma(SHAPE, size=(snippets, 2 * HALF))
    features = common + 0.7 * own + 0.45 * noise
    for half, norm in ((slice(None, HALF), 8.3), (slice(HALF, None), 5.7)):
        features[:, half] *= norm / np.linalg.norm(features[:, half], axis=1).mean()
    features *= rng.uniform(0.7, 1.3, (snippets, 1))
    return features.astype(np.float32)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory at which nothing is wrong."""
    folder = tmp_path_factory.mktemp("check") / "data"
    rng = np.random.default_rng(0)
    common = rng.gamma(SHAPE, size=2 * HALF).astype(np.float32)
    database: dict[str, Any] = {}
    for split, lengths in LENGTHS.items():
        (folder / split).mkdir(parents=True)
        names = []
        for number, length in enumerate(lengths):
            names.append(name := f"{split}_{number}")
            np.save(folder / split / f"{name}.npy", i3d_like(rng, common, length))
            found = {"label": CLASSES[number % 2], "segment": [2 * STEP, 6 * STEP]}
            twice = name == "train_0"
            database[name] = {
                "subset": split,
                "duration": round(length * STEP + 0.3, 3),
                "annotations": [found, found] if twice else [found],
            }
        (folder / f"split_{split}.txt").write_text("\n".join(names))
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    return folder


@pytest.fixture
def data(good: Path, tmp_path: Path) -> Path:
    """A copy of the good data directory, to be spoiled."""
    return Path(shutil.copytree(good, tmp_path / "data"))


def check(*arguments: object, status: int = 0) -> str:
    """Runs the command as `run_command` does."""
    return run_command(main, "dataset.check", arguments, status)


def listed(printed: str, title: str) -> list[str]:
    """The lines under "problems:" or "warnings:"."""
    lines = printed.splitlines()
    if f"{title}:" not in lines:
        return []
    rest = lines[lines.index(f"{title}:") + 1 :]
    end = next((n for n, line in enumerate(rest) if not line.startswith("  - ")), len(rest))
    return [line.removeprefix("  - ") for line in rest[:end]]


def change_all(data: Path, change: Callable[[Features], NDArray[Any]]) -> None:
    """Changes the features of all videos."""
    for path in data.rglob("*.npy"):
        np.save(path, change(np.load(path)))


def row(printed: str, title: str) -> list[str]:
    """The cells of a row of a table."""
    line = next(line for line in printed.splitlines() if line.strip().startswith(title))
    return line.strip().removeprefix(title).split()


def test_a_good_directory_is_described(good: Path) -> None:
    printed = check(good)
    assert printed.rstrip().endswith(GOOD)
    assert listed(printed, "problems") == listed(printed, "warnings") == []
    assert row(printed, "videos") == ["6", "3"]
    snippets = [sum(lengths) for lengths in LENGTHS.values()]
    assert row(printed, "snippets") == [str(number) for number in snippets]
    durations = [STEP * length + 0.3 for length in LENGTHS["test"]]
    assert f"{min(durations):.4g} / {sum(durations) / 3:.4g} / {max(durations):.4g}" in printed
    assert "settings: 16 frames / 25 fps = 0.64" in printed
    assert row(printed, "annotated instances") == ["7", "3"]
    assert row(printed, "channels") == ["2048", "2048"]
    assert row(printed, "type") == ["float32", "float32"]
    assert row(printed, "jump") == ["3", "4", "2", "2"]
    assert row(printed, "wave") == ["3", "3", "1", "1"]
    # Of 15 pairs of training videos, those of the same class are positive.
    assert "pairs of training videos for --ftcl: 6 positive, 9 negative" in printed
    for half, norm in (("first half (RGB)", 8.3), ("second half (flow)", 5.7)):
        found, real = map(float, row(printed, half))
        assert found == pytest.approx(norm, rel=0.05)
        assert real == norm
    assert "real I3D, RGB + flow" in printed


# What is done to every feature file, and what the report says of it.
SPOILED: dict[str, tuple[Callable[[Features], NDArray[Any]], str]] = {
    "flow first": (lambda f: np.roll(f, HALF, axis=1), "use --channel_order flow_rgb"),
    "no ReLU": (lambda f: f - 0.1, "a mean was subtracted, or they were taken from another layer"),
    "sums": (lambda f: f * 98, "sums over the 98 positions"),
    "pixels to 255": (lambda f: f * 255, "multiplied by 255"),
    "too small": (lambda f: f / 50, "or divide them by 0.02"),
    "L2-normalized": (
        lambda f: f / np.linalg.norm(f, axis=1, keepdims=True),
        "all snippets have the norm 1: they are L2-normalized",
    ),
    "flow missing": (
        lambda f: f * (np.arange(2 * HALF) < HALF),
        "all of flow: a stream is missing",
    ),
    "stretched": (lambda f: f.repeat(2, axis=0)[: len(f)], "padded or stretched features"),
    "padded": (lambda f: f * (np.arange(len(f)) < 15)[:, None], "cut them to the length"),
    "mixed up": (lambda f: f.T.reshape(f.shape), "rows and channels mixed up by a reshape"),
    "still pictures": (lambda f: f[:1].repeat(len(f), axis=0), "only one snippet, repeated"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_wrong_features_are_recognized(data: Path, case: str) -> None:
    """A warning names the cause; training can start nevertheless."""
    change, message = SPOILED[case]
    change_all(data, change)
    printed = check(data)
    assert any(message in line for line in listed(printed, "warnings")), printed
    assert printed.rstrip().endswith("training can start")


def test_the_recommended_channel_order_helps(data: Path) -> None:
    change_all(data, SPOILED["flow first"][0])
    assert GOOD in check(data, "--channel_order", "flow_rgb")


@pytest.mark.parametrize(
    ("snippet_frames", "frames_per_second"), [(16, 30), (24, 25), (64, 25), (8, 25)]
)
def test_another_stride_is_recognized_and_its_flags_help(
    data: Path, snippet_frames: int, frames_per_second: int
) -> None:
    step = snippet_frames / frames_per_second

    def change(content: Any) -> None:
        for video in content["database"].values():
            video["duration"] *= step / STEP
            for item in video["annotations"]:
                item["segment"] = [2 * step, 6 * step]

    edit_json(data / "gt.json", change)
    (warning,) = listed(check(data), "warnings")
    assert "the features of 9 of 9 videos do not span their duration at 0.64 s" in warning
    flags = warning.partition("are wrong: use ")[2].partition(" (")[0].split()
    assert GOOD in check(data, *flags)


def test_annotations_that_are_doubtful(data: Path) -> None:
    def change(content: Any) -> None:
        videos = content["database"]
        videos["train_0"]["annotations"] = [{"label": "run"}]  # and no test video shows it
        videos["test_0"]["annotations"][0]["segment"] = [3, 500]

    edit_json(data / "gt.json", change)
    warnings = listed(check(data), "warnings")
    assert any("1 class with a single training video" in w and "run" in w for w in warnings)
    assert any("1 class in no test video" in w and "run" in w for w in warnings)
    assert any("test_0, [3, 500] of 16.3 s" in w for w in warnings)


def test_the_same_video_in_both_splits(data: Path) -> None:
    shutil.copy(data / "train" / "train_1.npy", data / "test" / "test_1.npy")
    edit_json(
        data / "gt.json",
        lambda content: content["database"]["test_1"].update(duration=26 * STEP),
    )
    warnings = listed(check(data), "warnings")
    assert any("train_1 and test_1 have the same features" in w for w in warnings), warnings


def test_a_file_of_no_video_is_left_out(data: Path) -> None:
    shutil.copy(data / "train" / "train_1.npy", data / "train" / "another.npy")
    (warning,) = listed(check(data), "warnings")
    assert "1 feature file of videos in neither split, such as another.npy" in warning


def test_a_class_of_the_file_without_a_training_video(data: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("jump\nwave\nrun\n")
    warning = listed(check(data, "--class_names", names), "warnings")[0]
    assert "1 class has no training video and cannot be learned: run; label such" in warning


def test_every_problem_is_listed_at_once(data: Path) -> None:
    """With exit status 1; the valid files are measured all the same."""
    (data / "train" / "train_0.npy").unlink()
    damaged = data / "train" / "train_1.npy"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    for name, change in {
        "train_2": lambda f: np.where(np.arange(2 * HALF) == 7, np.nan, f),
        "test_0": lambda f: np.where(np.arange(HALF) == 7, np.inf, f[:, :HALF]),
        "test_1": lambda f: f[None].repeat(10, axis=0),
    }.items():
        path = data / name.partition("_")[0] / f"{name}.npy"
        np.save(path, change(np.load(path)))
    printed = check(data, status=1)
    problems = listed(printed, "problems")
    for file in ("train_0", "train_1.npy", "train_2", "test_0", "test_1.npy"):
        assert any(file in line for line in problems), (file, problems)
    assert sum("NaN or infinite values" in line for line in problems) == 2
    assert "would stop" in printed.splitlines()[-1]
    assert row(printed, "norm of a snippet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "data directory missing does not exist"),
        ([], "DIR"),
        ([".", "--stride", "8"], "--stride"),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], message: str) -> None:
    errors = check(*arguments, status=2).partition("dataset.check: error: ")[2]
    assert message in errors.splitlines()[0]


def measured(folder: Path) -> FeatureStatistics:
    """Statistics of all feature files of a folder."""
    files = [find_feature_file(p.stem, p, PLAIN) for p in sorted(folder.glob("*.npy"))]
    problems = Problems()
    found = measure_features(files, 1, problems)
    assert found
    assert not problems.messages
    return found


def test_statistics_equal_their_definitions(good: Path) -> None:
    found = measured(good / "train")
    videos = [np.load(p).astype(np.float64) for p in sorted((good / "train").glob("*.npy"))]
    rows = np.concatenate(videos)
    norms = np.linalg.norm(rows, axis=1)
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in videos]
    means = np.stack([v.mean(0) / np.linalg.norm(v.mean(0)) for v in videos])
    pairs = np.triu_indices(len(means), k=1)
    expected = {
        "norm": norms.mean(),
        "norm_range": np.percentile(norms, [5, 95]),
        "norm_deviation": norms.std(),
        "half_norms": [np.linalg.norm(h, axis=1).mean() for h in np.split(rows, 2, axis=1)],
        "near_zero": (rows < 1e-3).mean(),
        "neighbours": np.concatenate([(u[1:] * u[:-1]).sum(1) for u in units]).mean(),
        "between": (means @ means.T)[pairs].mean(),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert (found.videos, found.snippets, found.channels) == (6, len(rows), 2 * HALF)
    assert (found.negative, found.repeated, found.zero) == (0, 0, 0)


def test_features_that_are_not_those_of_i3d_are_not_compared(good: Path) -> None:
    strange = replace(measured(good / "test"), channels=512, norm=1e6, negative=0.5)
    assert feature_warnings(strange) == []


def test_real_features_give_no_warning(real_data: Path) -> None:
    """16 videos with two streams; and the wrong order of their channels is recognized."""
    found = measured(real_data / "i3d_samples" / "features")
    assert found.videos == 16
    assert feature_warnings(found) == []
    (warning,) = feature_warnings(replace(found, half_norms=found.half_norms[::-1]))
    assert "--channel_order flow_rgb" in warning
