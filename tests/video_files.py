"""Writes videos whose pictures carry their number, and reads the number from a decoded frame."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 128, 96
BLOCK = 32  # pixels of the square of a bit: a 4 x 3 grid holds numbers below 4096
BITS = (WIDTH // BLOCK) * (HEIGHT // BLOCK)


def picture_of(number: int) -> NDArray[np.uint8]:
    """An RGB picture that shows a number as black and white squares."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(
        -1, WIDTH // BLOCK
    )
    gray = np.kron(bits * 255, np.ones((BLOCK, BLOCK), np.uint8))
    return np.repeat(gray[..., None], 3, axis=2)


def number_of(frame: NDArray[np.uint8]) -> int:
    """The number that a frame of the size of `picture_of` shows."""
    assert frame.shape == (HEIGHT, WIDTH, 3)
    middles = frame[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK].mean(axis=2).ravel()
    assert all(value < 60 or value > 195 for value in middles), middles
    return sum(1 << bit for bit, value in enumerate(middles) if value > 127)


def write_video(
    path: Path,
    times: Sequence[int],
    time_base: Fraction,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    audio_seconds: float = 0.0,
) -> Path:
    """Writes a video whose picture n shows the number n, in compressed order with B-frames.

    Args:
        path: File to write; its suffix decides the container.
        times: Timestamp of each picture, in units of `time_base`.
        time_base: Unit of the timestamps in seconds.
        rate: Nominal pictures per second.
        codec: Encoder.
        audio_seconds: Seconds of silence from second 0 on; 0 for no audio stream.
    """
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = time_base
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "bf": "2", "g": "12"}
        if audio_seconds:
            write_silence(container, audio_seconds)
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            picture.pts, picture.time_base = time, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def write_silence(container: Any, seconds: float, rate: int = 8000) -> None:
    """Adds an audio stream of silence to a container that is being written."""
    stream = container.add_stream("pcm_s16le", rate=rate)
    for start in range(0, int(seconds * rate), 1024):
        audio = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        audio.sample_rate, audio.pts, audio.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(audio))
    container.mux(stream.encode())


def write_pictures(
    path: Path, pictures: Sequence[NDArray[np.uint8]], pix_fmt: str = "yuv420p", **settings: Any
) -> Path:
    """Writes RGB pictures at 25 per second; `settings` are attributes of the encoder."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(settings.pop("codec", "libx264"), rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        matrix = settings.pop("matrix", "ITU601")
        full_range = settings.pop("full_range", False)
        rotation = settings.pop("rotation", None)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for number, pixels in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
                format=pix_fmt,
                dst_colorspace=matrix,
                src_color_range="JPEG",
                dst_color_range="JPEG" if full_range else "MPEG",
            )
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
