"""Which pictures a constant frame rate selects, against a slow reference of the rule."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.timeline import Timed, in_order, resampled

property_test = settings(max_examples=60, deadline=None, derandomize=True)
MILLISECOND = Fraction(1, 1000)
PERIOD = Fraction(1, 25)
NTSC = Fraction(30000, 1001)


def slow_resampled(
    times: Sequence[Fraction],
    last_duration: Fraction,
    rate: Fraction,
    start: Fraction,
    early: Fraction,
) -> list[int]:
    """Numbers of the selected pictures; each second of the output is looked up on its own."""
    origin = times[0]
    while origin - 1 / rate / 2 > start:
        origin -= 1 / rate
    selected: list[int] = []
    while True:
        second = origin + len(selected) / rate
        if selected and second >= times[-1] + last_duration - 2 * early:
            return selected
        shown = [number for number, time in enumerate(times) if time - early <= second]
        selected.append(shown[-1] if shown else 0)


def timed(times: Sequence[Fraction], last_duration: Fraction) -> list[Timed[int]]:
    """Numbered pictures with these times."""
    ends = [*times[1:], times[-1] + last_duration]
    return [Timed(n, t, end - t) for n, (t, end) in enumerate(zip(times, ends, strict=True))]


def steady(number: int, rate: Fraction, tick: Fraction) -> list[Timed[int]]:
    """Pictures at a constant rate whose times and durations are rounded to ticks."""
    times = [round(n / rate / tick) * tick for n in range(number)]
    return timed(times, round(1 / rate / tick) * tick)


@property_test
@given(
    st.lists(st.floats(0, 0.3), max_size=15),
    st.sampled_from([PERIOD, MILLISECOND, Fraction(1, 90000), Fraction(1, 12800)]),
    st.sampled_from([Fraction(25), Fraction(10), NTSC, Fraction(2997, 100), Fraction(60)]),
    st.floats(0.001, 1),
    st.integers(0, 997),
)
def test_random_times_give_the_pictures_of_the_reference(
    gaps: list[float], tick: Fraction, rate: Fraction, last: float, late: int
) -> None:
    """Constant and variable rates, repeated times, late first pictures."""
    times = [Fraction(7)]
    for gap in gaps:
        times.append(times[-1] + round(gap / tick) * tick)
    duration = max(round(last / tick), 1) * tick
    start = times[0] - Fraction(late, 997)
    found = list(resampled(timed(times, duration), rate, start, tick))
    assert found == slow_resampled(times, duration, rate, start, min(tick / 2, MILLISECOND))


@pytest.mark.parametrize("tick", [MILLISECOND, Fraction(1, 90000), Fraction(1, 600)])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60)])
def test_pictures_at_the_wanted_rate_are_selected_once_each(rate: Fraction, tick: Fraction) -> None:
    """Rounded timestamps neither repeat nor lose a picture."""
    for number in (1, 2, 3, 100, 250):
        assert list(resampled(steady(number, rate, tick), rate, None, tick)) == [*range(number)]


@pytest.mark.parametrize(
    ("rate", "seconds", "frames"),
    [
        (Fraction(30), 10, 250),
        (Fraction(60), 10, 250),
        (Fraction(25), 10, 250),
        (Fraction(25, 2), 10, 250),
        (Fraction(10), 1, 25),
    ],
)
def test_the_duration_of_the_last_picture_counts(rate: Fraction, seconds: int, frames: int) -> None:
    """10 seconds at any rate give 250 frames at 25 per second."""
    number = int(rate * seconds)
    assert len([*resampled(steady(number, rate, Fraction(1, 90000)), Fraction(25))]) == frames


def test_a_late_first_picture_fills_the_gap_from_second_zero_of_the_player() -> None:
    """By whole frames: a gap of less than half a frame does not shift the others."""
    pictures = steady(3, Fraction(25), MILLISECOND)
    for late_seconds, repeats in [("0", 0), ("0.003", 0), ("0.021", 1), ("0.1", 2), ("1", 25)]:
        start = -Fraction(late_seconds)
        found = list(resampled(pictures, Fraction(25), start, MILLISECOND))
        assert found == [0] * repeats + [0, 1, 2]


def test_a_picture_without_duration_gives_one_frame() -> None:
    """Never none, or the shortest videos would vanish."""
    assert list(resampled([Timed("only", Fraction(3), Fraction(0))], Fraction(25))) == ["only"]
    assert list(resampled([], Fraction(25))) == []


def ordered_times(
    times: Sequence[Fraction | int | None], longest_gap: int = 10, start: int | None = None
) -> list[Fraction]:
    """Times, in pictures of 1/25 s, that `in_order` gives to pictures with these times."""
    pictures = [(n, None if t is None else t * PERIOD, Fraction(0)) for n, t in enumerate(times)]
    first = None if start is None else start * PERIOD
    result = list(in_order(pictures, PERIOD, first, Fraction(longest_gap)))
    assert [item.picture for item in result] == [*range(len(times))]
    assert all(item.duration == PERIOD for item in result)
    return [item.seconds / PERIOD for item in result]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([1, 2, 4, 3, 5, 7, 6, 8], [1, 2, 3, 4, 5, 6, 7, 8]),  # packed B-frames
        ([0, None, 2, None, None, 5], [0, 1, 2, 3, 4, 5]),
        ([None, None, None], [0, 1, 2]),
        ([0, 0, 2, 2, 4], [0, 0, 2, 2, 4]),
        ([0, 1, 40, 41], [0, 1, 40, 41]),  # a pause that is shown
        ([100, 101, 102, 0, 1, 2], [100, 101, 102, 103, 104, 105]),  # a second recording
        ([0, 1, 90000, 90001], [0, 1, 2, 3]),  # a jump of the clock
        ([0, 1, 90000, 3, 4], [0, 1, 2, 3, 4]),  # a single wrong timestamp
    ],
)
def test_missing_and_wrong_times_are_repaired(times: list[int | None], expected: list[int]) -> None:
    """The pictures keep their order, and their times never fall."""
    assert ordered_times(times) == expected


def test_the_first_unknown_time_is_the_start_of_the_file() -> None:
    """In streams whose clock does not begin at 0."""
    assert ordered_times([None, None, 37], start=35) == [35, 36, 37]


@property_test
@given(st.lists(st.one_of(st.none(), st.integers(-100, 2000)), max_size=40))
def test_times_never_fall(times: list[int | None]) -> None:
    """Whatever the file says."""
    found = ordered_times(times)
    assert found == sorted(found)
