"""Warnings about annotations that can be read and are probably not what was meant."""

from collections.abc import Iterable

from dataset.labels import significant, similar_text
from dataset.videos import Video


def label_warnings(videos: Iterable[Video]) -> list[str]:
    """Warnings about classes whose names differ only in case, spaces, underscores or hyphens."""
    warnings: list[str] = []
    spelled: dict[str, str] = {}
    for name in dict.fromkeys(label for video in videos for label in video.labels):
        first = spelled.setdefault(significant(name), name)
        if first != name:
            text = similar_text([(name, first)], "the annotations", "the annotations")
            warnings.append(f"warning: read as two classes: {text}")
    return warnings


def frame_warnings(videos: Iterable[Video]) -> list[str]:
    """A warning if most segments end beyond the duration of their video, as frame numbers do."""
    timed = [(video, s) for video in videos if video.duration for s in video.segments]
    beyond = [(video, s) for video, s in timed if s.end > 1.05 * (video.duration or 0)]
    if 2 * len(beyond) <= len(timed) or not timed:
        return []
    video, segment = beyond[0]
    return [
        f"warning: {len(beyond)} of {len(timed)} annotated segments end after their video (first: "
        f"{video.name}, [{segment.start:g}, {segment.end:g}] of {video.duration:g} s): they look "
        "like frame numbers; divide them by the frame rate of the videos, as times must be in "
        "seconds"
    ]
