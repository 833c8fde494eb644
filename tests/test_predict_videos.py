"""predict.py with videos: which networks compute their features, and how."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extraction.snippets import SnippetSettings
from tests.known_network import (
    WIDTH,
    known_weights,
    run_predict,
    stored_config,
    write_checkpoint,
)
from utils.errors import UserError

pytest.importorskip("av")
SECONDS = 24.0


class FakeExtractor:
    """Gives features that show the second class in the middle third of each video."""

    def __init__(self, settings: SnippetSettings, width: int) -> None:
        self.settings = settings
        self.feature_dim = width

    def batches(self, video: Path) -> Iterator[np.ndarray[Any, Any]]:
        """Yields two batches; the video "bad" cannot be read."""
        if video.stem == "bad":
            raise UserError(f"{video}: no video stream")
        number = self.settings.number(round(SECONDS * self.settings.frames_per_second))
        features = np.full((number, self.feature_dim), 0.5, np.float32)
        features[number // 3 : 2 * number // 3, 4:8] = 4
        yield from np.split(features, [number // 2])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Replaces I3D by the fake, with 8 channels per stream; lists how it is opened."""
    calls: list[Mapping[str, Any]] = []

    def open_extractor(
        rgb: Path | None, flow: Path | None, settings: SnippetSettings, *rest: Any
    ) -> FakeExtractor:
        calls.append({"rgb": rgb, "flow": flow, "settings": settings, "rest": rest})
        return FakeExtractor(settings, 8 * sum(path is not None for path in (rgb, flow)))

    monkeypatch.setattr("extraction.extractor.open_extractor", open_extractor)
    monkeypatch.setattr("extraction.i3d.FEATURE_DIM", 8)
    return calls


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with videos, and checkpoints for one stream and for both."""
    from tests.video_files import write_video

    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    for name in ("one.mp4", "bad.mkv"):
        write_video(Path("videos", name), range(3), Fraction(1, 25))
    for name, width in (("rgb", 8), ("both", WIDTH), ("odd", 12)):
        config = stored_config(num_snippets=24, frames_per_second=30.0, snippet_frames=8)
        write_checkpoint(Path(f"{name}.pth"), known_weights(width=width), config=config)
    return tmp_path


def test_videos_are_predicted_at_the_stride_of_the_checkpoint(
    work: Path, opened: list[Mapping[str, Any]]
) -> None:
    flags = ["--checkpoint", "both.pth", "--device", "cpu", "--rgb_weights", "r.pt"]
    saved = ["--save_features", "features", "--json", "a.json"]
    printed = run_predict([*flags, "videos", *saved], status=1)
    assert "features of videos: I3D, rgb and flow, 16 frames every 8 at 30 frames" in printed
    assert "predict.py: error: videos/bad.mkv: no video stream" in printed
    (call,) = opened
    assert (call["rgb"], call["flow"]) == (Path("r.pt"), Path("flow_imagenet.pt"))
    assert call["settings"] == SnippetSettings(30.0, 16, 8)
    line = next(line for line in printed.splitlines() if line.startswith("  Bask")).split()
    assert abs(float(line[1]) - SECONDS / 3) < 1.5
    assert abs(float(line[3]) - SECONDS * 2 / 3) < 1.5
    # The saved features give the same prediction.
    run_predict([*flags, "features", "--json", "b.json"])
    assert Path("a.json").read_text() == Path("b.json").read_text()


@pytest.mark.parametrize(
    ("checkpoint", "flags", "streams"),
    [
        ("rgb", [], ("rgb",)),
        ("rgb", ["--flow_weights", "f.pt"], ("flow",)),
        ("rgb", ["--flow_weights", "f.pt", "--rgb_weights", "r.pt"], ("rgb",)),
        ("rgb", ["--streams", "flow"], ("flow",)),
        ("both", ["--window_frames", "32", "--extraction_batch", "2"], ("rgb", "flow")),
    ],
)
def test_the_streams_follow_from_the_channels(
    work: Path,
    opened: list[Mapping[str, Any]],
    checkpoint: str,
    flags: list[str],
    streams: tuple[str, ...],
) -> None:
    run_predict(["--checkpoint", f"{checkpoint}.pth", "--device", "cpu", "videos/one.mp4", *flags])
    (call,) = opened
    assert tuple(stream for stream in ("rgb", "flow") if call[stream]) == streams
    if "--window_frames" in flags:
        assert call["settings"].snippet_frames == 32
        assert call["rest"][1] == 2


@pytest.mark.parametrize(
    ("checkpoint", "flags", "message"),
    [
        ("odd", [], "wants 12 channels, and I3D gives 8 per stream"),
        ("both", ["--streams", "rgb"], "--streams rgb gives 8 channels, and the network of"),
        ("rgb", ["--streams", "both"], "wants 8; choose rgb or flow"),
    ],
)
def test_features_that_do_not_fit_are_an_error(
    work: Path, opened: list[Mapping[str, Any]], checkpoint: str, flags: list[str], message: str
) -> None:
    flags = ["--checkpoint", f"{checkpoint}.pth", "--device", "cpu", "videos", *flags]
    assert message in run_predict(flags, status=2)
    assert not opened


def test_weights_that_are_missing_are_an_error(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extraction.i3d.FEATURE_DIM", 8)
    printed = run_predict(["--checkpoint", "rgb.pth", "--device", "cpu", "videos"], status=2)
    assert "rgb weights rgb_imagenet.pt" in printed.replace("file ", "")
    assert "--rgb_weights" in printed


def test_features_and_videos_of_one_folder(work: Path, opened: list[Mapping[str, Any]]) -> None:
    np.save("videos/two.npy", np.ones((9, WIDTH), np.float32))
    np.save("videos/one.npy", np.ones((9, WIDTH), np.float32))
    Path("videos/notes.txt").write_text("not an input")
    flags = ["--checkpoint", "both.pth", "--device", "cpu", "--snippet_timing", "duration"]
    Path("d.json").write_text('{"one": 9, "two": 9}')
    printed = run_predict([*flags, "videos", "--durations", "d.json"], status=1)
    assert "videos/one.npy has the same name as videos/one.mp4" in printed
    assert "warning: the network was trained with --snippet_timing duration" in printed
    assert "one: 23.73 s (89 snippets)" in printed
    assert "two: 9.00 s" in printed
    assert "notes" not in printed


@pytest.mark.slow
def test_a_real_video_with_real_weights(real_data: Path, tmp_path: Path) -> None:
    """The features are those of the extraction, and predict.py gives a table for them."""
    weights = real_data / "i3d_network" / "rgb_imagenet.pt"
    checkpoint = write_checkpoint(tmp_path / "a.pth", known_weights(width=1024))
    video = real_data / "videos" / "cricket_shot.gif"
    flags = ["--checkpoint", checkpoint, "--device", "cpu", "--rgb_weights", weights]
    printed = run_predict([*flags, video, "--save_features", tmp_path])
    assert "cricket_shot: 2.56 s (4 snippets)" in printed
    features = np.load(tmp_path / "cricket_shot.npy")
    assert features.shape == (4, 1024)
    assert (features >= 0).all()
