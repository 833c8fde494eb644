"""When the pictures of a video are shown, and which of them a constant frame rate selects.

Times are exact fractions of seconds. Nothing here depends on how the pictures were decoded.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

Picture = TypeVar("Picture")

# Pictures whose timestamps may be permuted. Decoders return pictures in the order in which they
# are shown, but packed B-frames (DivX in AVI) leave the timestamps of neighbors swapped.
REORDERED = 4
# How far a timestamp may lie ahead of the previous picture before it is taken for an error.
LONGEST_GAP_SECONDS = 30 * 3600
# Containers round timestamps to ticks; a picture may be shown up to this much early because of it.
MOST_EARLY_SECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Timed(Generic[Picture]):
    """A picture with its times in seconds.

    Attributes:
        picture: The picture, in any form.
        seconds: Time from which it is shown.
        duration: Time for which it is shown.
    """

    picture: Picture
    seconds: Fraction
    duration: Fraction


def in_order(
    pictures: Iterable[tuple[Picture, Fraction | None, Fraction]],
    usual_duration: Fraction,
    start: Fraction | None = None,
    longest_gap: Fraction = Fraction(LONGEST_GAP_SECONDS),
) -> Iterator[Timed[Picture]]:
    """Gives every picture a plausible time and duration; the times never fall.

    A missing time is that of the previous picture plus its duration. Swapped times of neighbors
    are sorted. At an implausible jump (backwards, or forwards by more than `longest_gap`) the
    pictures continue after the previous one, as players do where two recordings are joined.

    Args:
        pictures: Each picture, the time from which it is shown (None if unknown) and its duration
            (0 if unknown), in seconds and in the order in which the pictures are shown.
        usual_duration: Duration of a picture in seconds where it is unknown.
        start: Time of the first picture if it is unknown; None for 0.
        longest_gap: Largest plausible time between two pictures in seconds.

    Yields:
        The same pictures, in the same order.
    """
    waiting: deque[tuple[Picture, Fraction]] = deque()
    times: list[Fraction] = []
    latest: Fraction | None = None  # time of the last picture that was yielded

    def first() -> Timed[Picture]:
        nonlocal latest
        picture, duration = waiting.popleft()
        seconds = heapq.heappop(times)
        latest = seconds if latest is None else max(latest, seconds)
        return Timed(picture, latest, duration)

    shift = Fraction(0)
    newest: Fraction | None = None
    expected = start or Fraction(0)
    for picture, stated, stated_duration in pictures:
        duration = stated_duration if 0 < stated_duration <= longest_gap else usual_duration
        seconds = expected if stated is None else stated + shift
        if newest is not None:
            earliest = newest - max(Fraction(1), REORDERED * duration)
            if not earliest <= seconds <= expected + longest_gap:
                shift += expected - seconds
                seconds = expected
        newest = seconds if newest is None else max(newest, seconds)
        expected = newest + duration
        waiting.append((picture, duration))
        heapq.heappush(times, seconds)
        if len(waiting) > REORDERED:
            yield first()
    while waiting:
        yield first()


def resampled(
    pictures: Iterable[Timed[Picture]],
    frames_per_second: Fraction,
    start: Fraction | None = None,
    tick: Fraction = Fraction(0),
) -> Iterator[Picture]:
    """Selects the pictures of a constant frame rate: frame k is the one shown at origin + k / rate.

    The origin is the time of the first picture, so that a video of N pictures at the wanted rate
    gives exactly these N. If the first picture comes later than second 0 of the player, it fills
    the gap: the origin is then earlier by a whole number of frames, the nearest one, and frame k
    is shown at second k / rate of the player to within half a frame.

    Args:
        pictures: Pictures with rising times and with durations, as `in_order` yields them.
        frames_per_second: The wanted rate.
        start: Second 0 of the player in the times of the pictures; None for the first picture.
        tick: Unit to which the file rounds times, in seconds. A picture counts as shown up to half
            a tick (at most a millisecond) before its time, or 30 frames per second in steps of
            milliseconds (0, 33, 67, 100) would give some frames twice and others never.

    Yields:
        The selected pictures; the same object again for a picture that is shown longer. The last
        one is shown for its duration. There is at least one frame if there is a picture.
    """
    early = min(tick / 2, MOST_EARLY_SECONDS)
    shown: Timed[Picture] | None = None
    origin = Fraction(0)
    frame = 0
    for picture in pictures:
        if shown is None:
            late = Fraction(0) if start is None else picture.seconds - start
            origin = picture.seconds - max(round(late * frames_per_second), 0) / frames_per_second
        else:
            while origin + frame / frames_per_second < picture.seconds - early:
                yield shown.picture
                frame += 1
        shown = picture
    if shown is not None:
        end = shown.seconds + shown.duration - 2 * early  # two rounded values
        while frame == 0 or origin + frame / frames_per_second < end:
            yield shown.picture
            frame += 1
