"""Cuts a stream of frames into snippets, and snippets into batches, without holding the video."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class SnippetSettings:
    """Which frames a snippet consists of.

    Attributes:
        frames_per_second: Rate to which videos are resampled.
        snippet_frames: Frames of a snippet.
        stride: Frames from the start of a snippet to that of the next.
        pad: Whether an incomplete last snippet is completed by repeating the last frame; else it is
            dropped.
    """

    frames_per_second: float = 25.0
    snippet_frames: int = 16
    stride: int = 16
    pad: bool = False

    def number(self, frames: int) -> int:
        """Number of snippets of a video with this many frames."""
        complete = max((frames - self.snippet_frames) // self.stride + 1, 0)
        covered = (complete - 1) * self.stride + self.snippet_frames if complete else 0
        gap = max(self.stride - self.snippet_frames, 0) if complete else 0
        return complete + (self.pad and frames > covered + gap)


def snippets(frames: Iterable[Item], settings: SnippetSettings) -> Iterator[list[Item]]:
    """Yields the frames of each snippet in turn.

    Args:
        frames: Frames at the rate of the settings.
        settings: Length and stride of a snippet, and what becomes of an incomplete last one.
    """
    length, stride = settings.snippet_frames, settings.stride
    window: list[Item] = []
    gap = 0  # frames to leave out before the next snippet
    unseen = 0  # frames of the window that were in no snippet yet
    for frame in frames:
        if gap:
            gap -= 1
            continue
        window.append(frame)
        unseen += 1
        if len(window) == length:
            yield list(window)
            gap = max(stride - length, 0)
            del window[:stride]
            unseen = 0
    if settings.pad and unseen:
        yield window + window[-1:] * (length - len(window))


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields lists of `size` items; the last may be shorter."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
