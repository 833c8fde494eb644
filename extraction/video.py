"""Decodes video files to RGB frames at a constant rate, in constant memory."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extraction.decoding import DecodingStatistics, open_video
from extraction.frames import FrameSize, display_matrix, rgb_frame
from extraction.timeline import resampled

NETWORK_SIZE = FrameSize()


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a video file states, which may be wrong; None is unknown.

    Attributes:
        seconds: Duration.
        frames_per_second: Average rate.
        frames: Number of pictures.
        width: Width of the stored picture, before rotation, in pixels.
        height: Height of the stored picture, before rotation, in pixels.
        codec: Name of the codec.
    """

    seconds: float | None
    frames_per_second: float | None
    frames: int | None
    width: int
    height: int
    codec: str


def probe(path: Path) -> VideoInfo:
    """Reads the header of a video file without decoding the video.

    Raises:
        VideoError: If the file cannot be read or has no video stream.
    """
    with open_video(path) as video:
        context = video.stream.codec_context
        return VideoInfo(
            seconds=None if video.stated_seconds is None else float(video.stated_seconds),
            frames_per_second=float(video.rate) if video.rate else None,
            frames=video.stream.frames or None,
            width=context.width,
            height=context.height,
            codec=context.name,
        )


def resampled_frames(
    path: Path,
    frames_per_second: float,
    size: FrameSize = NETWORK_SIZE,
    statistics: DecodingStatistics | None = None,
) -> Generator[NDArray[np.uint8], None, None]:
    """Decodes a video to RGB frames at a constant rate.

    Frame k is the picture that a player shows at second k / frames_per_second, according to the
    timestamps of the pictures (see `extraction.timeline.resampled`). Rotation metadata is applied
    and pixels are made square.

    Args:
        path: Video file of any container and codec that FFmpeg reads.
        frames_per_second: Rate of the frames.
        size: Size of the frames.
        statistics: Filled while the frames are read. At the end it has a warning for what is
            damaged or missing; the frames of a damaged part repeat the picture before it.

    Yields:
        (H, W, 3) RGB frames. A picture that is shown longer is the same array again: do not write
        into it.

    Raises:
        VideoError: If the file cannot be read, has no video stream, or no picture of it can be
            decoded.
    """
    statistics = DecodingStatistics() if statistics is None else statistics
    rate = Fraction(frames_per_second).limit_denominator(1_000_000)
    with open_video(path) as video, closing(video.pictures(statistics)) as pictures:
        shown = frame = matrix = None
        for picture in resampled(pictures, rate, video.start, video.tick):
            if shown is None:
                matrix = display_matrix(picture)
            if frame is None or picture is not shown:
                shown, frame = picture, rgb_frame(picture, video.pixel_aspect, matrix, size)
            yield frame
