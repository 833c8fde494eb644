"""Decoding of video files: the right pictures at the right times, upright, in true colors."""

import gc
import os
import socket
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from extraction.decoding import DecodingStatistics, VideoError
from extraction.frames import FrameSize, central_crop, resized_shape, upright
from extraction.video import probe, resampled_frames
from tests.video_files import (
    HEIGHT,
    number_of,
    picture_of,
    write_pictures,
    write_silence,
    write_video,
)
from utils.errors import UserError

WHOLE = FrameSize(HEIGHT, crop=None)
MILLISECOND = Fraction(1, 1000)
FILM, NTSC = Fraction(24000, 1001), Fraction(30000, 1001)


def numbers(
    path: Path, rate: float = 25, statistics: DecodingStatistics | None = None
) -> list[int]:
    """The number that each frame of a video of `write_video` shows."""
    return [number_of(frame) for frame in resampled_frames(path, rate, WHOLE, statistics)]


def shown_at(times: list[Fraction], seconds: list[Fraction]) -> list[int]:
    """Number of the last picture whose time is not later than each second."""
    return [max(n for n, time in enumerate(times) if time <= second) for second in seconds]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".flv"])
def test_pictures_at_the_wanted_rate_are_kept_as_they_are(tmp_path: Path, suffix: str) -> None:
    """In containers with and without presentation times, packets in another order, late starts."""
    path = write_video(tmp_path / f"video{suffix}", range(60), Fraction(1, 25))
    assert numbers(path) == list(range(60))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate", [FILM, Fraction(25), NTSC, Fraction(60)])
def test_other_rates_are_resampled_by_time(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    """Frame k shows the picture of second k / 25, and the video keeps its duration."""
    number = int(4 * rate)
    base = 1 / rate
    path = write_video(tmp_path / f"video{suffix}", range(number), base, rate)
    found = numbers(path)
    assert len(found) == -(-number * base * 25 // 1)  # rounded up: the last picture is shown
    seconds = [Fraction(k, 25) for k in range(len(found))]
    # Milliseconds of Matroska: a picture may be shown half of one early.
    early = MILLISECOND / 2 if suffix == ".mkv" else 0
    assert found == shown_at([n * base - early for n in range(number)], seconds)


def test_variable_rate_follows_the_timestamps(tmp_path: Path) -> None:
    """Bursts, pauses and single pictures, written with their times in milliseconds."""
    gaps = np.random.default_rng(0).choice([5, 17, 33, 40, 41, 120, 900], 60)
    times = [0, *np.cumsum(gaps).tolist()]
    seconds = [time * MILLISECOND for time in times]
    for suffix in (".mkv", ".mp4"):
        found = numbers(write_video(tmp_path / f"video{suffix}", times, MILLISECOND, 1000))
        assert len(found) >= times[-1] / 40
        early = [time - MILLISECOND / 2 for time in seconds]
        assert found == shown_at(early, [Fraction(k, 25) for k in range(len(found))])


def test_a_late_first_picture_is_shown_from_second_zero(tmp_path: Path) -> None:
    """The sound starts at 0 and the pictures at 0.48: a player's second 0.48 is frame 12."""
    times = [480 + 40 * n for n in range(20)]
    path = write_video(tmp_path / "video.mkv", times, MILLISECOND, audio_seconds=2)
    assert numbers(path) == [0] * 12 + list(range(20))


def test_delays_of_a_gif_are_its_timestamps(tmp_path: Path) -> None:
    """100, 300 and 40 ms, the last one included."""
    images = [Image.fromarray(picture_of(n)) for n in (1, 2, 4)]
    path = tmp_path / "video.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 300, 40], loop=0)
    assert numbers(path) == [1] * 3 + [2] * 7 + [4]


def test_a_repeated_picture_is_converted_once(tmp_path: Path) -> None:
    """It is the same array."""
    path = write_video(tmp_path / "video.mkv", range(5), Fraction(1, 5), 5)
    frames = list(resampled_frames(path, 25, WHOLE))
    assert len(frames) == 25
    assert len({id(frame) for frame in frames}) == 5


def test_size_and_crop() -> None:
    """The smaller side of the displayed picture; the square is in its middle."""
    assert resized_shape(320, 180, Fraction(1), 256) == (455, 256)
    assert resized_shape(180, 320, Fraction(1), 256) == (256, 455)
    assert resized_shape(340, 256, Fraction(64, 51), 256) == (427, 256)
    assert resized_shape(720, 576, Fraction(16, 45), 256) == (256, 576)
    square = central_crop(np.arange(7 * 5).reshape(7, 5), 3)
    assert square.tolist() == [[11, 12, 13], [16, 17, 18], [21, 22, 23]]
    with pytest.raises(ValueError, match="larger"):
        FrameSize(128, 224)


def test_default_size_is_that_of_the_network(tmp_path: Path) -> None:
    """224 x 224 of 256 x 341: the crop of the whole frame."""
    path = write_video(tmp_path / "video.mkv", range(3), Fraction(1, 25))
    whole = next(resampled_frames(path, 25, FrameSize(256, crop=None)))
    frame = next(resampled_frames(path, 25))
    assert whole.shape == (256, 341, 3)
    assert frame.shape == (224, 224, 3)
    assert np.array_equal(frame, central_crop(whole, 224))


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ([1, 0, 0, 1], [[0, 1, 2], [3, 4, 5]]),
        ([-1, 0, 0, -1], [[5, 4, 3], [2, 1, 0]]),
        ([-1, 0, 0, 1], [[2, 1, 0], [5, 4, 3]]),  # mirrored
        ([0, 1, -1, 0], [[3, 0], [4, 1], [5, 2]]),  # clockwise
        ([0, -1, 1, 0], [[2, 5], [1, 4], [0, 3]]),  # counterclockwise
        ([0, 1, 1, 0], [[0, 3], [1, 4], [2, 5]]),  # transposed
    ],
)
def test_display_matrix(matrix: list[int], turned: list[list[int]]) -> None:
    """Each pixel (p, q) goes to (a p + c q, b p + d q), up to a shift."""
    a, b, c, d = matrix
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    full = np.array([a, b, 0, c, d, 0, 0, 0, 16384], np.int32) * 65536
    assert upright(frame, full).tolist() == turned


def test_a_rotated_file_is_shown_upright_with_square_pixels(tmp_path: Path) -> None:
    """64 x 48 pixels, twice as wide as high, turned by a quarter: 48 x 128."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 255  # the left half is white
    path = write_pictures(
        tmp_path / "video.mp4", [pixels] * 3, rotation=90, sample_aspect_ratio=Fraction(2)
    )
    frame = next(resampled_frames(path, 25, FrameSize(48, crop=None)))
    assert frame.shape == (128, 48, 3)
    with av.open(str(path)) as container:
        angle = next(container.decode(video=0)).rotation
    white_first = frame[:40].mean() > 200 and frame[-40:].mean() < 50
    assert angle in (90, -90)
    assert white_first == (angle == -90)  # counterclockwise turns put the left side at the bottom


SD, PORTRAIT, HD = (96, 128), (128, 96), (720, 1280)
RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 40)]


@pytest.mark.parametrize(
    ("shape", "pix_fmt", "settings"),
    [
        (SD, "yuv420p", {}),
        (PORTRAIT, "yuv420p", {}),  # resized to an even width
        (SD, "yuv444p", {}),
        (SD, "yuv420p10le", {}),
        (SD, "yuv420p", {"matrix": "ITU709", "colorspace": 1}),
        (SD, "yuv420p", {"full_range": True, "color_range": 2}),
        (SD, "yuvj420p", {"codec": "mjpeg", "full_range": True}),
        (HD, "yuv420p", {"matrix": "ITU709"}),  # untagged
        (HD, "yuv420p", {"colorspace": 6}),
        (SD, "bgr0", {"codec": "ffv1"}),
    ],
)
def test_colors(
    tmp_path: Path, shape: tuple[int, int], pix_fmt: str, settings: dict[str, Any]
) -> None:
    """Red decodes as red, whatever the matrix, the range and the pixel format of the file."""
    pictures = [np.full((*shape, 3), color, np.uint8) for color in RGB]
    path = write_pictures(tmp_path / "video.mkv", pictures, pix_fmt, **settings)
    frames = list(resampled_frames(path, 25))
    assert len(frames) == len(RGB)
    for frame, color in zip(frames, RGB, strict=True):
        assert np.abs(frame.astype(int) - color).max() <= 1


def exact_bilinear(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """Pillow's bilinear resizing in floating point, which averages when it makes smaller."""
    channels = [Image.fromarray(pixels[..., c].astype(np.float32)) for c in range(3)]
    resized = [c.resize((width, height), Image.Resampling.BILINEAR) for c in channels]
    return np.stack([np.asarray(c) for c in resized], axis=-1)


@pytest.mark.parametrize("shape", [(180, 320), (240, 320), (492, 354), (720, 1280)])
def test_resizing_is_bilinear(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Within a rounding error of exact arithmetic, without a shift, up and down."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (shape[0] // 6, shape[1] // 6, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))
    path = write_pictures(tmp_path / "video.mkv", [pixels], "bgr0", codec="ffv1")
    frame = next(resampled_frames(path, 25, FrameSize(256, crop=None)))
    expected = exact_bilinear(pixels, frame.shape[1], frame.shape[0])
    error = frame - expected
    assert np.abs(error).mean() < 1
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.3


def error_of(path: Path) -> str:
    """The message of a file that cannot be read, without its path."""
    with pytest.raises(VideoError) as caught:
        list(resampled_frames(path, 25))
    with pytest.raises(VideoError) as probed:
        probe(path)
    message = str(caught.value)
    assert str(probed.value) == message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    """One line each."""
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert error_of(empty) == "the file is empty; copy it again"
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    assert error_of(text).startswith("not a readable video (")
    assert "a text file" in error_of(text.rename(tmp_path / "text.txt"))
    assert "No such file" in error_of(tmp_path / "missing.mp4")
    assert "Is a directory" in error_of(tmp_path)
    sound = tmp_path / "sound.mkv"
    with av.open(str(sound), "w") as container:
        write_silence(container, 0.5)
    assert error_of(sound) == "no video stream, only audio; remove the file"


def test_a_colon_in_the_name_is_no_protocol(tmp_path: Path, monkeypatch: Any) -> None:
    """FFmpeg takes "http:video.mkv" for an address."""
    monkeypatch.chdir(tmp_path)
    path = write_video(tmp_path / "video.mkv", range(3), Fraction(1, 25))
    path.rename("http:video.mkv")
    assert numbers(Path("http:video.mkv")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "playlist"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile '{}'\n"),
    ],
)
def test_a_playlist_opens_no_address(tmp_path: Path, name: str, playlist: str) -> None:
    """Only files are read: nobody connects to the server."""
    path = tmp_path / name
    with socket.create_server(("127.0.0.1", 0)) as server:
        path.write_text(playlist.format(f"http://127.0.0.1:{server.getsockname()[1]}/video.ts"))
        assert error_of(path).startswith("not a readable video (")
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_truncated_file_gives_its_beginning_and_a_warning(tmp_path: Path) -> None:
    """An index at the end, as of MP4, is missing then: an error."""
    for suffix in (".mkv", ".mp4", ".avi"):
        path = write_video(tmp_path / f"video{suffix}", range(200), Fraction(1, 25))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 6 // 10])
    assert error_of(tmp_path / "video.mp4").startswith("not a readable video (")
    for suffix in (".mkv", ".avi"):
        statistics = DecodingStatistics()
        found = numbers(tmp_path / f"video{suffix}", statistics=statistics)
        assert 60 < len(found) < 180
        assert found[:-2] == list(range(len(found) - 2))
        assert f"ends at second {len(found) / 25:.2f} of 8.00" in statistics.warnings[-1]


def damaged_copy(path: Path, output: Path, first: int, last: int) -> Path:
    """Copies a video; the packets from `first` to before `last` hold garbage."""
    with av.open(str(path)) as source, av.open(str(output), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if not packet.size:
                continue
            copy: Any = packet
            if first <= number < last:
                copy = av.Packet(b"\xff" * packet.size)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream = stream
            target.mux(copy)
    return output


def test_a_damaged_part_is_bridged_and_reported(tmp_path: Path) -> None:
    """The video keeps its length and its times after the damage."""
    whole = write_video(tmp_path / "whole.mkv", range(100), Fraction(1, 25))
    path = damaged_copy(whole, tmp_path / "damaged.mkv", 48, 60)  # a group of 12 pictures
    statistics = DecodingStatistics()
    frames = list(resampled_frames(path, 25, WHOLE, statistics))
    assert len(frames) == 100
    assert [number_of(frame) for frame in frames[:46]] == list(range(46))
    assert [number_of(frame) for frame in frames[62:]] == list(range(62, 100))
    assert len(statistics.warnings) == 1
    assert statistics.warnings[0].startswith("damaged: ")
    second = float(statistics.warnings[0].split("near second ")[1].split(";")[0])
    assert 1.4 < second < 2.1
    nothing = damaged_copy(whole, tmp_path / "nothing.mkv", 0, 100)
    with pytest.raises(VideoError, match="no picture can be decoded"):
        list(resampled_frames(nothing, 25))


def test_probe_reads_the_header(tmp_path: Path) -> None:
    """What the container does not say is None."""
    info = probe(write_video(tmp_path / "video.mp4", range(50), Fraction(1, 25)))
    assert (info.seconds, info.frames_per_second, info.frames) == (2.0, 25.0, 50)
    assert (info.width, info.height, info.codec) == (128, 96, "h264")
    raw = probe(write_video(tmp_path / "video.h264", range(50), Fraction(1, 25)))
    assert (raw.seconds, raw.frames) == (None, None)


def test_a_stream_without_timestamps_has_its_rate(tmp_path: Path) -> None:
    """Raw H.264 has neither times nor a duration."""
    path = write_video(tmp_path / "video.h264", range(50), Fraction(1, 25))
    assert numbers(path) == list(range(50))


def test_missing_package_names_the_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else works without PyAV."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-extraction\.txt"):
        probe(tmp_path)


def resident_bytes() -> int:
    """Physical memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_is_constant(tmp_path: Path) -> None:
    """One minute takes no more than its first ten seconds; its frames would be 55 MB.

    Without garbage collection: no cycle of references may keep a picture.
    """
    path = write_video(tmp_path / "video.mkv", range(1500), Fraction(1, 25), codec="mpeg4")
    peak = reference = 0
    gc.disable()
    try:
        for k, _ in enumerate(resampled_frames(path, 25, WHOLE)):
            if k % 50 == 0:
                peak = max(peak, resident_bytes())
            if k == 250:
                reference = peak
    finally:
        gc.enable()
    assert k == 1499
    assert peak - reference < 8 * 2**20


# Pictures that can be decoded, seconds from the first to the end of the last, frames at 25 per
# second, and the shape of the whole resized picture.
READER: dict[str, tuple[int, float, int, tuple[int, int]]] = {
    "av1_video.mkv": (125, 5.0, 125, (256, 455)),
    "clip.avi": (120, 4.8, 120, (256, 341)),
    "clip.webm": (120, 4.803, 120, (256, 341)),
    "corrupted.mp4": (49, 5.0, 125, (256, 455)),  # one of 50 is damaged
    "fewer_frames_than_said.mp4": (167, 5.5722, 140, (256, 455)),  # the header says 183
    "h265_10bits.mp4": (30, 1.0, 25, (256, 256)),
    "late_start.avi": (164, 6.56, 164, (256, 341)),  # packed B-frames: swapped times
    "non_square_pixels.mp4": (280, 10.0, 250, (256, 427)),  # 340 x 256, shown as 5:3
    "portrait.mp4": (264, 8.8088, 221, (356, 256)),
    "rabbit.webm": (234, 7.8, 195, (256, 341)),
    "unordered.mov": (4, 0.125, 4, (256, 256)),
    "variable_rate.mp4": (408, 10.2478, 257, (256, 565)),
    "video_270.mov": (3, 0.1, 3, (454, 256)),
    "video_90.mov": (3, 0.1, 3, (454, 256)),
    "vtest.avi": (48, 1.6333, 41, (256, 341)),  # the header says 49
    "yuv444.mp4": (280, 14.0, 350, (256, 455)),
}


@pytest.mark.parametrize("name", READER)
def test_real_files(real_data: Path, name: str) -> None:
    """Each gives the number of frames of its true duration."""
    pictures, seconds, frames, shape = READER[name]
    statistics = DecodingStatistics()
    path = real_data / "videos" / "reader" / name
    size = FrameSize(256, crop=None)
    shapes = [frame.shape for frame in resampled_frames(path, 25, size, statistics)]
    assert (statistics.pictures, len(shapes)) == (pictures, frames)
    assert set(shapes) == {(*shape, 3)}
    assert statistics.seconds == pytest.approx(seconds, abs=1e-3)
    assert len(statistics.warnings) == (name == "corrupted.mp4")


@pytest.mark.parametrize(("name", "turns"), [("video_90.mov", -1), ("video_270.mov", 1)])
def test_rotated_phone_videos_are_upright(real_data: Path, name: str, turns: int) -> None:
    """`turns` counterclockwise quarter turns of the stored picture, as seen by eye."""
    path = real_data / "videos" / "reader" / name
    frame = next(resampled_frames(path, 25, FrameSize(256, crop=None)))
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    stored = picture.to_ndarray(width=454, height=256, format="rgb24")
    expected = np.rot90(stored, turns)
    assert np.abs(frame.astype(int) - expected).mean() < 5
    assert np.abs(frame.astype(int) - expected[::-1, ::-1]).mean() > 20
