"""The command `python -m extraction`: from video files to feature files."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.measuring import peak_memory, reset_peak_memory
from extraction import command
from extraction.extractor import Extractor, open_extractor
from extraction.i3d import FEATURE_DIM, I3DOutput
from extraction.snippets import SnippetSettings
from tests.i3d_networks import random_i3d
from utils.device import Device, choose_device
from utils.errors import UserError

av = pytest.importorskip("av")
pytest.importorskip("cv2")

ROOT = Path(__file__).parents[1]
CPU = Device(torch.device("cpu"), "fp32")


class Means(nn.Module):
    """Stands for I3D, which takes a second per snippet: features are means of the frames.

    Channel k is the mean of frame k, over all its pixels and channels; the last is that of all.
    """

    def fold_batch_norm(self) -> None:
        """Nothing to fold."""

    def forward(self, clips: Tensor) -> I3DOutput:
        features = torch.zeros(len(clips), FEATURE_DIM)
        frames = clips.mean((1, 3, 4))  # (B, T)
        features[:, : frames.shape[1]] = frames
        features[:, -1] = frames.mean(1)
        return I3DOutput(features, features)


def extractor(settings: SnippetSettings, streams: str = "rgb", batch_size: int = 3) -> Extractor:
    networks = {stream: Means() for stream in streams.split()}
    return Extractor(networks, settings, CPU, batch_size, workers=2)  # type: ignore[arg-type]


def write_video(path: Path, levels: NDArray[np.integer], rate: int = 25) -> Path:
    """Writes a video without loss whose frame k is gray of brightness levels[k]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        stream.time_base = Fraction(1, rate)
        for level in levels:
            picture = np.full((48, 64), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode(None))
    return path


LEVELS = np.arange(70) * 3 + 20


@pytest.mark.parametrize(("length", "stride"), [(16, 16), (16, 8), (10, 24)])
def test_each_feature_sees_the_frames_of_its_snippet(
    tmp_path: Path, length: int, stride: int
) -> None:
    video = write_video(tmp_path / "video.mkv", LEVELS)
    features = extractor(SnippetSettings(25.0, length, stride))(video)
    starts = range(0, len(LEVELS) - length + 1, stride)
    expected = np.stack([LEVELS[start : start + length] for start in starts]) / 127.5 - 1
    assert features.shape == (len(starts), FEATURE_DIM)
    np.testing.assert_allclose(features[:, :length], expected, atol=1.01 / 127.5)


def test_two_streams_are_concatenated_with_rgb_first(tmp_path: Path) -> None:
    still = write_video(tmp_path / "still.mkv", np.full(40, 200))
    features = extractor(SnippetSettings(), "flow rgb")(still)
    assert features.shape == (2, 2 * FEATURE_DIM)
    np.testing.assert_allclose(features[:, 0], 200 / 127.5 - 1, atol=0.01)
    np.testing.assert_array_equal(features[:, FEATURE_DIM:], 0)  # nothing moves


def test_the_frame_rate_follows_the_time_of_the_frames(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mkv", LEVELS, rate=50)
    features = extractor(SnippetSettings())(video)  # every other frame
    expected = LEVELS[::2][:32].reshape(2, 16) / 127.5 - 1
    np.testing.assert_allclose(features[:, :16], expected, atol=1.01 / 127.5)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of videos, of which some cannot be extracted, and a file that is none."""
    folder = tmp_path / "videos"
    write_video(folder / "train" / "first.mkv", LEVELS)
    write_video(folder / "test" / "second.mkv", LEVELS[:40])
    write_video(folder / "others" / "third.avi", LEVELS[:35])
    write_video(folder / "short.mkv", LEVELS[:10])
    (folder / "text.mp4").write_text("this is not a video")
    (folder / "notes.txt").write_text("nor is this")
    return folder


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Lets the command use `Means` for the network; returns the file of its weights."""

    def opened(
        rgb: Path | None, flow: Path | None, settings: SnippetSettings, *_: object
    ) -> Extractor:
        streams = [name for name, file in (("rgb", rgb), ("flow", flow)) if file]
        return extractor(settings, " ".join(streams))

    monkeypatch.setattr(command, "open_extractor", opened)
    weights = tmp_path / "rgb_imagenet.pt"
    weights.write_bytes(b"weights")
    return weights


def extract(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    """Runs the command in this process and returns its exit status."""
    monkeypatch.setattr("sys.argv", ["extraction", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        command.main()
    return caught.value.code


def test_a_folder_of_videos_becomes_a_data_directory(
    videos: Path,
    main: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "data"
    flags = ("--videos", videos, "--output", output, "--streams", "rgb", "--rgb_weights", main)
    assert extract(monkeypatch, *flags) == 1  # two of the videos cannot be extracted
    printed = capsys.readouterr()
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.*"))
    features = ["features/third.npy", "test/second.npy", "train/first.npy"]
    assert files == ["extraction.json", *features]
    assert "left out: 1 file without the suffix of a video" in printed.out
    errors = re.findall(r"^extraction: error: (.*)$", printed.err, flags=re.MULTILINE)
    assert len(errors) == 2
    assert "shorter than one snippet (0.64 s); python -m extraction --last pad" in errors[0]
    assert "text.mp4" in errors[1]
    assert "features of 3 of 5 videos" in printed.out
    assert "not extracted: short.mkv, text.mp4" in printed.out

    first = np.load(output / "train" / "first.npy")
    assert first.dtype == np.float16
    assert first.shape == (4, FEATURE_DIM)
    expected = extractor(SnippetSettings())(videos / "train" / "first.mkv")
    np.testing.assert_array_equal(first, expected.astype(np.float16))

    # A video that is done is not read again; one that is missing is.
    stamp = (output / "train" / "first.npy").stat().st_mtime_ns
    (output / "test" / "second.npy").unlink()
    extract(monkeypatch, *flags)
    assert "2 of 5 videos are done already" in capsys.readouterr().out
    assert (output / "train" / "first.npy").stat().st_mtime_ns == stamp
    assert (output / "test" / "second.npy").exists()

    # Padding adds the last snippet of every video, but not to features made without it.
    extract(monkeypatch, *flags, "--last", "pad")
    assert "made with --last drop, now wanted: --last pad" in capsys.readouterr().err
    padded = (*flags[:2], "--output", tmp_path / "padded", *flags[4:], "--last", "pad")
    extract(monkeypatch, *padded, "--dtype", "float32")
    assert np.load(tmp_path / "padded" / "train" / "first.npy").shape == (5, FEATURE_DIM)
    short = np.load(tmp_path / "padded" / "features" / "short.npy")
    assert short.dtype == np.float32
    np.testing.assert_allclose(short[0, 9:16], LEVELS[9] / 127.5 - 1, atol=0.01)


def test_an_interrupted_video_leaves_no_file(
    videos: Path, main: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    computed = Extractor.compute

    def interrupted(self: Extractor, clips: dict[str, NDArray[np.uint8]]) -> NDArray[np.float32]:
        if len(clips["rgb"]) < 3:  # the last batch of the first video
            raise KeyboardInterrupt
        return computed(self, clips)

    monkeypatch.setattr(Extractor, "compute", interrupted)
    output = tmp_path / "data"
    flags = ("--videos", videos / "train", "--output", output, "--streams", "rgb")
    assert extract(monkeypatch, *flags, "--rgb_weights", main) == 130
    assert [path.name for path in output.rglob("*.*")] == ["extraction.json"]


@pytest.mark.parametrize(
    ("prepare", "flags", "message"),
    [
        ("", ["--videos", "missing"], "--videos missing does not exist"),
        ("mkdir empty", ["--videos", "empty"], "no video file in this folder"),
        ("same names", ["--videos", "same"], "2 videos are named one"),
        (
            "",
            ["--videos", "one.mkv", "--snippet_frames", "8"],
            "I3D needs 9 or more",
        ),
        ("", ["--videos", "one.mkv", "--fps", "0"], "wanted a positive number"),
        ("", ["--videos", "one.mkv", "--stride", "two"], "invalid int value: 'two'"),
        ("a file", ["--videos", "one.mkv"], "has shape (3, 7), wanted 1024 channels"),
    ],
)
def test_mistakes_end_with_one_line(
    main: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: str,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path("one.mkv"), LEVELS[:20])
    if prepare == "mkdir empty":
        Path("empty").mkdir()
    if prepare == "same names":
        write_video(Path("same", "a", "one.mkv"), LEVELS[:20])
        write_video(Path("same", "b", "one.avi"), LEVELS[:20])
    if prepare == "a file":
        Path("data", "features").mkdir(parents=True)
        np.save(Path("data", "features", "one.npy"), np.ones((3, 7)))
    arguments = (*flags, "--output", "data", "--streams", "rgb", "--rgb_weights", main)
    assert extract(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_features_that_float16_cannot_hold_are_refused(
    main: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = np.full((1, FEATURE_DIM), 1e6, np.float32)
    monkeypatch.setattr(Extractor, "compute", lambda self, clips: large)
    video = write_video(tmp_path / "video.mkv", LEVELS[:16])
    flags = ("--videos", video, "--output", tmp_path / "data", "--streams", "rgb")
    assert extract(monkeypatch, *flags, "--rgb_weights", main) == 1
    assert "features that float16 cannot hold (largest: 1e+06)" in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.npy"))


@pytest.mark.slow  # a network in two processes
def test_the_command_itself_with_a_network(tmp_path: Path) -> None:
    video = write_video(tmp_path / "videos" / "video.mkv", LEVELS[:17])
    net = random_i3d(3)
    torch.save(net.state_dict(), tmp_path / "rgb.pt")
    arguments = ["--videos", "videos", "--output", "data", "--streams", "rgb"]
    result = subprocess.run(
        [sys.executable, ROOT / "extraction", *arguments, "--rgb_weights", "rgb.pt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "video.mkv: 1 snippet," in result.stdout
    settings = SnippetSettings()
    expected = open_extractor(
        tmp_path / "rgb.pt", None, settings, choose_device("cpu", "0", "fp32")
    )
    features = np.load(tmp_path / "data" / "features" / "video.npy")
    assert features.dtype == np.float16  # unless --dtype says otherwise
    np.testing.assert_allclose(features, expected(video), rtol=1e-3, atol=1e-4)
    record = json.loads((tmp_path / "data" / "extraction.json").read_text())
    assert record["stride"] == 16
    assert record["flow_weights"] is None


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mkv", np.arange(15_000) % 200)  # ten minutes
    short = write_video(tmp_path / "short.mkv", np.arange(1_500) % 200)
    extract_to = extractor(SnippetSettings(), batch_size=4)
    for _ in extract_to.batches(short):
        pass
    before = reset_peak_memory(CPU)
    if before is None:
        pytest.skip("this system does not report the memory of a process")
    snippets = sum(len(batch) for batch in extract_to.batches(video))
    assert snippets == 15_000 // 16
    assert (peak_memory(CPU) or 0) - before < 100 * 2**20  # the frames take 2.2 GB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "snippets", "action"),
    [
        ("cricket_shot.gif", 4, "playing cricket"),
        ("highjump.mp4", 37, "high jump"),
        ("tennis26.mp4", 17, "playing tennis"),
    ],
)
def test_real_videos_with_real_weights_show_their_action(
    real_data: Path, name: str, snippets: int, action: str
) -> None:
    weights = real_data / "i3d_network" / "rgb_imagenet.pt"
    extract_rgb = open_extractor(weights, None, SnippetSettings(), CPU)
    features = extract_rgb(real_data / "videos" / name)
    assert features.shape == (snippets, FEATURE_DIM)
    assert features.min() >= 0
    weight, bias = extract_rgb.networks["rgb"].logits["conv3d"].parameters()
    logits = torch.from_numpy(features.mean(0)) @ weight.flatten(1).T + bias
    names = (real_data / "i3d_network" / "kinetics400_classes.txt").read_text().splitlines()
    best = [names[i] for i in logits.topk(5).indices]
    assert action in best, best


def test_errors_name_the_file_and_what_helps(tmp_path: Path) -> None:
    video = write_video(tmp_path / "short.mkv", LEVELS[:9])
    with pytest.raises(UserError, match=r"short\.mkv: shorter than one snippet \(0\.64 s\)"):
        extractor(SnippetSettings())(video)
