"""Whether features fit the durations of the videos, and which setting is named if not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from config.datasets import THUMOS14
from dataset.annotations import read_database
from dataset.dataset import Dataset
from dataset.layouts import read_dataset
from dataset.text_files import read_split
from dataset.timing import Extent, SnippetTiming, are_transposed, timing_warning
from eval.localization import propose
from eval.scores import VideoScores
from tests.data_folder import edit_json, make_data
from tests.program import run_main
from utils.errors import UserError

I3D = SnippetTiming(16, 25)
DURATIONS = (8.3, 21.0, 64.7, 150.2, 151.9, 203.1, 412.6, 1500.4)


def videos_at(timing: SnippetTiming, durations: tuple[float, ...] = DURATIONS) -> list[Extent]:
    """Features at this stride; a last incomplete snippet is dropped."""
    return [Extent(f"test/{d:g}", int(d / timing.seconds), d, 2048) for d in durations]


@pytest.mark.parametrize("shortage", [0, 1, -1])
def test_features_that_fit_give_no_warning(shortage: int) -> None:
    """Whether a last incomplete snippet is dropped, padded, or the last window lacks frames."""
    for timing in (I3D, SnippetTiming(4, 30), SnippetTiming(64, 25)):
        videos = [v._replace(snippets=v.snippets - shortage) for v in videos_at(timing)]
        assert timing_warning(videos, timing) == ""


@pytest.mark.parametrize("seconds", [10.0, 4.0, 60.0])
def test_short_videos_give_no_false_warning(seconds: float) -> None:
    durations = tuple(seconds + 0.1 * i for i in range(9))
    assert timing_warning(videos_at(I3D, durations), I3D) == ""


@pytest.mark.parametrize(
    ("actual", "advice"),
    [
        (SnippetTiming(16, 30), "--frames_per_second 30"),
        (SnippetTiming(16, 24), "--frames_per_second 24"),
        (SnippetTiming(16, 29.97), "--frames_per_second 30"),  # equal within 0.1 %
        (SnippetTiming(4, 25), "--snippet_frames 4"),
        (SnippetTiming(8, 25), "--snippet_frames 8"),
        (SnippetTiming(64, 25), "--snippet_frames 64"),
        (SnippetTiming(4, 30), "--snippet_frames 4 --frames_per_second 30"),
        (SnippetTiming(16, 12.5), "--snippet_frames 32"),
        (SnippetTiming(16, 10), "--frames_per_second 9.98"),
    ],
    ids=str,
)
def test_the_setting_that_fits_is_named(actual: SnippetTiming, advice: str) -> None:
    warning = timing_warning(videos_at(actual), I3D)
    assert f": use {advice} (" in warning
    assert "test/64.7" in warning or "test/21" in warning or "test/8.3" in warning
    assert "\n" not in warning


def test_ten_second_clips_at_another_frame_rate_are_noticed() -> None:
    warning = timing_warning(videos_at(SnippetTiming(16, 30), (10.0, 10.1, 9.9)), I3D)
    assert "use --frames_per_second 30 (0.5333 s per snippet)" in warning


def test_a_few_wrong_videos_are_counted() -> None:
    videos = videos_at(I3D)
    videos[3] = videos[3]._replace(snippets=100)
    warning = timing_warning(videos, I3D)
    assert "the features of 1 of 8 videos" in warning
    assert "such as test/150.2 (100 snippets, 150.2 s)" in warning


def test_features_at_the_frame_rate_of_each_video_get_the_step_from_its_duration() -> None:
    rates = (24, 25, 30, 29.97, 25, 50, 30, 24)
    videos = [
        videos_at(SnippetTiming(16, rate), (d,))[0]
        for d, rate in zip(DURATIONS, rates, strict=True)
    ]
    assert "use --snippet_timing duration" in timing_warning(videos, SnippetTiming(16, 15))
    assert timing_warning(videos, SnippetTiming(16, 15, from_duration=True)) == ""


def test_features_of_a_fixed_number_of_snippets_are_named_as_such() -> None:
    videos = [Extent("v", 100, duration, 400) for duration in DURATIONS]
    warning = timing_warning(videos, I3D)
    assert "all feature files have 100 snippets, but the videos last 8.3 to 1.5e+03 s" in warning
    assert "use --snippet_timing duration" in warning
    assert "transposed" not in warning
    swapped = [video._replace(snippets=400, channels=100) for video in videos]
    assert "400 is the number of channels and the files are transposed" in timing_warning(
        swapped, I3D
    )


def test_transposed_files_are_recognised() -> None:
    def check(shapes: list[tuple[int, int]], durations: list[float | None]) -> bool:
        return are_transposed(shapes, durations, I3D)

    lengths = [(int(d / 0.64), d) for d in DURATIONS]
    assert check([(2048, n) for n, _ in lengths], [d for _, d in lengths])
    assert check([(2048, 3 * n) for n, _ in lengths], [d for _, d in lengths])  # another stride
    assert not check([(n, 2048) for n, _ in lengths], [d for _, d in lengths])
    assert not check([(2048, n) for n, _ in lengths], [None] * len(lengths))
    assert check([(512, 100)] * 4, [64.0] * 4)
    assert not check([(100, 512)] * 4, [64.0] * 4)
    assert not check([(100, 512)] * 4, [40.0, 100.0, 160.0, 220.0])  # rescaled
    assert not check([(100, 2048), (100, 2048), (100, 1024)], [64.0, 64.0, 64.0])  # a wrong file


def test_real_data_give_no_warning(real_data: Path) -> None:
    folder = real_data / "thumos14_derived"
    database = read_database(folder / "gt.json")
    for split in ("train", "test"):
        videos = []
        for name in read_split(folder / f"split_{split}.txt"):
            shape = np.load(folder / split / f"{name}.npy", mmap_mode="r").shape
            videos.append(Extent(name, shape[0], database[name].duration or 0.0, shape[1]))
        assert timing_warning(videos, I3D) == ""
        assert "use --frames_per_second 25 (" in timing_warning(videos, SnippetTiming(16, 30))


def read(folder: Path, timing: SnippetTiming = I3D) -> Dataset:
    return read_dataset(folder, THUMOS14.classes, timing=timing)


@pytest.mark.parametrize("same_length", [False, True])
def test_transposed_files_are_read_as_what_they_are(
    tmp_path: Path, same_length: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_data(tmp_path / "data")
    if same_length:
        for file in folder.glob("*/*.npy"):
            np.save(file, np.repeat(np.load(file)[:1], 100, axis=0))
        edit_json(
            folder / "gt.json", lambda c: [v.update(duration=64) for v in c["database"].values()]
        )
        assert len(read(folder).splits["train"].features.lengths) == 6
    expected = read(folder)
    assert "warning" not in capsys.readouterr().out
    for file in folder.glob("*/*.npy"):
        np.save(file, np.load(file).T)
    found = read(folder)
    printed = capsys.readouterr().out
    assert printed.count("warning: the feature files are transposed: all have 16 rows") == 1
    assert found.fingerprint == expected.fingerprint
    assert found.feature_dim == 16
    for split in ("train", "test"):
        videos, rows = torch.tensor([0, 2]), torch.tensor([[0, 5, 11], [3, 2, 1]])
        one, other = (
            data.splits[split].features.gather(videos, rows) for data in (found, expected)
        )
        assert one.equal(other)


def test_one_transposed_file_is_named(tmp_path: Path) -> None:
    folder = make_data(tmp_path / "data")
    file = folder / "train" / "video_train_0000000.npy"
    np.save(file, np.load(file).T)
    with pytest.raises(
        UserError, match=r"0000000.npy has .* the other files have 16; is it transp"
    ):
        read(folder)


def test_the_step_of_a_video_comes_from_its_duration() -> None:
    """A video of 200 s with 100 snippets, of which those from second 80 to 100 show the action."""
    cas = np.zeros((100, 21), np.float32)
    cas[40:51, 0] = 1
    scores = VideoScores("v", 100, cas, cas[:, 0], np.eye(21, dtype=np.float32)[0], 200.0)
    settings = THUMOS14.localization
    found = propose([scores], THUMOS14.classes, settings)
    by_stride = propose([scores._replace(span=None)], THUMOS14.classes, settings)
    np.testing.assert_allclose(found.start, by_stride.start * 2 / 0.64)
    np.testing.assert_allclose(found.end, by_stride.end * 2 / 0.64)
    assert found.start.min() == pytest.approx(80, abs=2)
    assert scores.seconds(0.64) == 200
    assert scores._replace(span=None).seconds(0.64) == 64


def test_the_program_with_rescaled_features(tmp_path: Path) -> None:
    folder = make_data(tmp_path / "data")
    for file in folder.glob("*/*.npy"):
        snippets = np.load(file)
        np.save(file, snippets[np.arange(50) * len(snippets) // 50])
    flags = ["--data_dir", folder, "--num_snippets", 24, "--device", "cpu", "--without_wandb"]
    flags += ["--epochs", 1, "--save_dir", tmp_path / "run"]
    assert "all feature files have 50 snippets" in run_main(flags)
    assert "warning" not in run_main([*flags, "--snippet_timing", "duration"])
    checkpoint = tmp_path / "run" / "THUMOS_latest.pth"
    out = tmp_path / "out"
    test = ["--test", "--checkpoint", checkpoint, "--save_dir", out, "--report"]
    assert "warning" not in run_main(["--data_dir", folder, *test])  # as it was trained
    results = json.loads((out / "THUMOS_latest_predictions.json").read_text())["results"]
    database = read_database(folder / "gt.json")
    for name, detections in results.items():
        duration = database[name].duration
        assert duration
        assert all(one["segment"][1] <= duration + 1e-6 for one in detections)
    longest = max(results, key=lambda name: database[name].duration or 0)
    assert any(one["segment"][1] > 0.3 * 50 * 0.64 for one in results[longest])
    edit_json(folder / "gt.json", lambda c: c["database"]["video_test_0000002"].pop("duration"))
    printed = run_main(["--data_dir", folder, *test], status=2)
    assert "1 of 4 test videos have no duration, such as video_test_0000002" in printed
