"""Decodes the pictures of a video file with PyAV, and reports what is damaged or missing."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from extraction.optional import optional_import
from extraction.timeline import LONGEST_GAP_SECONDS, Timed, in_order
from utils.errors import UserError

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

USUAL_RATE = Fraction(25)  # frames per second of a file that states none
TIMESTAMPS_MAY_JUMP = 0x200  # AVFMT_TS_DISCONT: MPEG program and transport streams
LONGEST_GAP_IN_STREAM = 10  # seconds; a longer gap in such a stream is a jump of its clock
SHORTER_SECONDS = 1  # a video that ends this much before its stated duration is reported
ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
TEXT_FORMATS = {"tty"}  # FFmpeg opens .txt files as videos of their text


class VideoError(UserError):
    """A video file that cannot be read; the message is one line."""


@dataclass
class DecodingStatistics:
    """What was found while a video was decoded.

    Attributes:
        pictures: Number of pictures decoded.
        seconds: End of the last picture, in seconds of a player.
        warnings: What is damaged or missing, one line each without the path.
    """

    pictures: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


class Video:
    """An open video file; `open_video` opens it.

    Args:
        path: The file.
        container: The open file.
        stream: Its video stream.

    Attributes:
        pixel_aspect: Width of a pixel divided by its height.
        rate: Average pictures per second, or None if unknown.
        tick: Unit of the file's timestamps in seconds.
        start: Second 0 of a player as a timestamp of the file, or None for the first picture.
        stated_seconds: Duration that the file states, or None.
    """

    def __init__(self, path: Path, container: "InputContainer", stream: "VideoStream") -> None:
        self.path = path
        self.stream = stream
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self.rate = stream.average_rate or stream.guessed_rate
        self.tick = stream.time_base or Fraction(0)
        # AVI has no presentation times: its first picture is late only by the decoder's delay.
        has_start = container.start_time is not None and container.format.name != "avi"
        self.start = Fraction(container.start_time or 0, 1_000_000) if has_start else None
        self.stated_seconds = _stated_seconds(container, stream)
        self._container = container

    def pictures(
        self, statistics: DecodingStatistics
    ) -> Generator["Timed[VideoFrame]", None, None]:
        """Yields the pictures with their times, in the order in which they are shown.

        Damaged parts are skipped; `statistics` gets a warning about them at the end.

        Raises:
            VideoError: If no picture can be decoded.
        """
        may_jump = self._container.format.flags & TIMESTAMPS_MAY_JUMP
        longest_gap = Fraction(LONGEST_GAP_IN_STREAM if may_jump else LONGEST_GAP_SECONDS)
        read = (
            (
                picture,
                None if picture.pts is None else picture.pts * self.tick,
                (picture.duration or 0) * self.tick,
            )
            for picture in self._decoded(statistics)
        )
        start = self.start
        for picture in in_order(read, 1 / (self.rate or USUAL_RATE), start, longest_gap):
            start = picture.seconds if start is None else start
            statistics.pictures += 1
            statistics.seconds = float(picture.seconds + picture.duration - start)
            yield picture
        if not statistics.pictures:
            raise VideoError(f"{self.path}: no picture can be decoded; copy or convert the file")
        stated = self.stated_seconds
        if stated is not None and statistics.seconds < stated - SHORTER_SECONDS:
            statistics.warnings.append(
                f"the last picture ends at second {statistics.seconds:.2f} of "
                f"{float(stated):.2f}; the rest is missing (was the copy interrupted?)"
            )

    def _decoded(self, statistics: DecodingStatistics) -> Iterator["VideoFrame"]:
        """Yields the pictures that can be decoded, and reports the damage at the end."""
        ffmpeg_error = optional_import("av").FFmpegError
        damage: list[float] = []  # seconds near which something could not be read
        for packet in self._packets(damage, statistics):
            try:
                pictures = self.stream.codec_context.decode(packet)
            except ffmpeg_error:
                damage.append(statistics.seconds)
                continue
            if any(picture.is_corrupt for picture in pictures):
                damage.append(statistics.seconds)
            yield from pictures
        if damage:
            statistics.warnings.append(
                f"damaged: {len(damage)} decoding errors, the first near second {damage[0]:.2f}; "
                "frames there repeat the picture before or show errors"
            )

    def _packets(
        self, damage: list[float], statistics: DecodingStatistics
    ) -> Iterator["Packet | None"]:
        """Yields the packets of the stream until its end or an error, and None at last."""
        try:
            for packet in self._container.demux(self.stream):
                if packet.size:  # the empty one at the end, which flushes, is replaced by None
                    yield packet
        except optional_import("av").FFmpegError:
            damage.append(statistics.seconds)
        yield None


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a video file for decoding in several threads.

    Raises:
        VideoError: If the file cannot be read or has no video stream; also for an error of FFmpeg
            inside the block.
    """
    av = optional_import("av")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror or error}; check the path") from None
    if empty:
        raise VideoError(f"{path}: the file is empty; copy it again")
    try:
        # "file:" because FFmpeg takes "a:b.mp4" for a protocol; no other protocol is admitted, so
        # that a playlist cannot open addresses.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            yield Video(path, container, _video_stream(path, container))
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(
            f"{path}: not a readable video ({reason}); check that the file is complete"
        ) from None


def _video_stream(path: Path, container: "InputContainer") -> "VideoStream":
    """The video stream of an open file, set up for decoding in several threads."""
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if container.format.name in TEXT_FORMATS:
        raise VideoError(f"{path}: a text file, not a video; remove it from the videos")
    if not streams:
        others = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise VideoError(f"{path}: no video stream, only {others}; remove the file")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(f"{path}: PyAV has no decoder for its codec; convert the file")
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream: "VideoStream") -> bool:
    """Whether a video stream is the cover picture of an audio file."""
    return bool(stream.disposition & ATTACHED_PICTURE)


def _stated_seconds(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """The duration that the file states for its video stream, else for all of it."""
    stated = []
    if stream.duration and stream.time_base:
        stated.append(stream.duration * stream.time_base)
    elif container.duration:
        stated.append(Fraction(container.duration, 1_000_000))
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        stated.append(stream.frames / stream.average_rate)  # also where the end is cut off
    return max(stated, default=None)
