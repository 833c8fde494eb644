"""What happens to invalid annotated segments: warnings, or an error if most are invalid."""

from collections.abc import Iterable, Sequence

from dataset.videos import Segment, Video
from utils.errors import UserError


def invalid_segment_warnings(
    evaluated: Iterable[Video], others: Iterable[Video], classes: Sequence[str] | None = None
) -> list[str]:
    """One warning per kind of invalid segment, with its number and the first one.

    An instance that ends before it starts or has no times stays an instance that no detection can
    find, as in the ActivityNet toolkit, where its temporal IoU with every detection is 0.

    Args:
        evaluated: Videos to evaluate.
        others: Other videos of the annotation file; of these only the labels are used, in training.
        classes: Classes to evaluate; all by default.

    Raises:
        UserError: If most of the segments to evaluate cannot be found by any detection.
    """
    segments = [s for s in _segments(evaluated) if classes is None or s.label in classes]
    lost = [segment.flaw for segment in segments if not segment.can_be_found]
    early = [segment.flaw for segment in segments if segment.flaw and segment.can_be_found]
    unused = [segment.flaw for segment in _segments(others) if segment.flaw]
    if 2 * len(lost) > len(segments):
        raise UserError(
            f"{len(lost)} of the {len(segments)} annotated segments to evaluate are invalid, such "
            f"as {lost[0]}; wanted 0 <= start <= end in seconds: correct the annotation file"
        )
    kinds = {
        "count as instances that no detection can find": lost,
        "are used as they are": early,
        "are in videos that are not evaluated, of which only the labels are read": unused,
    }
    return [
        f"warning: {len(flaws)} invalid annotated segments {what} (first: {flaws[0]}); correct "
        "them, or use --strict to stop at them"
        for what, flaws in kinds.items()
        if flaws
    ]


def _segments(videos: Iterable[Video]) -> list[Segment]:
    return [segment for video in videos for segment in video.segments]
