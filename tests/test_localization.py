"""Scores to segments: official values, the reference implementation, cases worked out by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import interp1d

from config.datasets import THUMOS14
from config.localization import LocalizationSettings
from eval.localization import localize, propose
from eval.nms import non_maximum_suppression
from eval.scores import VideoScores
from eval.segments import Segments, segments_from_rows
from eval.upsampling import upsample as upsampled_lines
from tests import reference_localization as reference

PAPER = THUMOS14.localization


def thresholds(
    *, cas: Sequence[float] = (), attention: Sequence[float] = (), **changes: Any
) -> LocalizationSettings:
    """Settings with these thresholds only, and one step per snippet."""
    levels = {"cas_thresholds": tuple(cas), "attention_thresholds": tuple(attention)}
    return replace(PAPER, **{"upsampling": 1, **levels, **changes})


def video_scores(
    cas: ArrayLike,
    attention: ArrayLike,
    class_scores: ArrayLike = (1.0,),
    snippets: int | None = None,
    name: str = "video",
) -> VideoScores:
    """Scores from lists; a CAS of one dimension is that of the only class."""
    columns = np.asarray(cas, np.float32)
    if columns.ndim == 1:
        columns = columns[:, None]
    return VideoScores(
        name,
        len(columns) if snippets is None else snippets,
        columns,
        np.asarray(attention, np.float32),
        np.asarray(class_scores, np.float32),
    )


def noise(length: int, classes: int, seed: int) -> VideoScores:
    """Rough scores: many short runs at every threshold."""
    random = np.random.default_rng(seed)
    cas = random.dirichlet(np.full(classes + 1, 0.3), length)
    attention = random.uniform(0, 1, length)
    return video_scores(cas, attention, random.uniform(0.2, 0.4, classes), length + 7)


def rows(segments: Segments, video: int = 0) -> NDArray[np.float64]:
    """(N, 4) class, score, start, end of one video."""
    one = segments.take(segments.video == video)
    return np.stack([one.label, one.score, one.start, one.end], 1)


def assert_rows(got: NDArray[np.float64], want: ArrayLike) -> None:
    want = np.asarray(want, np.float64).reshape(-1, 4)
    assert got.shape == want.shape
    # A score is a difference of two means of at most 1: below 1e-15 there is only rounding.
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def upsample(values: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """The values of the lines of one sequence at all of its steps."""
    lines = upsampled_lines([values], factor)
    steps = np.arange(len(values) * factor)
    return lines.values(lines.line_at(np.zeros_like(steps), steps), steps)


# --- The values of the official implementation


@pytest.fixture(scope="module")
def official(golden: Path) -> dict[str, NDArray[Any]]:
    with np.load(golden / "eval.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("stage", "key"), [(propose, "raw"), (localize, "final")])
def test_equals_the_official_implementation(
    official: dict[str, NDArray[Any]], stage: Any, key: str
) -> None:
    names = official["video_names"].tolist()
    config = json.loads(str(official["settings_json"]))
    videos = [
        VideoScores(
            name,
            int(official[f"in/{name}/vid_len"]),
            official[f"in/{name}/act_inst_cas"],
            official[f"in/{name}/temp_att"][:, 0],
            official[f"in/{name}/act_inst_cls"],
        )
        for name in names
    ]
    given_settings = replace(
        PAPER,
        cas_thresholds=tuple(config["cas_thresholds"]),
        attention_thresholds=tuple(config["att_thresholds"]),
    )
    segments = stage(videos, official["class_names"].tolist(), given_settings)
    assert segments.videos == tuple(names)
    for number, name in enumerate(names):
        assert_rows(rows(segments, number), official[f"out/{name}/{key}"])


def test_upsampling_equals_the_official_implementation(official: dict[str, NDArray[Any]]) -> None:
    label = int(np.argmax(official["in/vid_a/act_inst_cls"]))
    for values, key in [
        (official["in/vid_a/act_inst_cas"][:, label], "cls_scores"),
        (official["in/vid_a/temp_att"][:, 0], "inst_att"),
    ]:
        want = official[f"out/upsampled_first_video_{key}"].ravel()
        np.testing.assert_allclose(upsample(values, 20), want, rtol=1e-12)


@pytest.mark.parametrize(
    ("given_key", "kept_key", "tiou"),
    [
        ("proposals", "kept_0p55", 0.55),
        ("proposals", "kept_0p3", 0.3),
        ("short_proposals", "short_kept_0p55", 0.55),
    ],
)
def test_suppression_equals_the_official_implementation(
    golden: Path, given_key: str, kept_key: str, tiou: float
) -> None:
    with np.load(golden / "nms_ap.npz") as file:
        proposals, want = file[given_key], file[kept_key]
    assert_rows(rows(non_maximum_suppression(table(proposals), tiou)), want)


# --- Upsampling


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(2, 9), elements=st.floats(-1, 1, width=32)),
    st.integers(1, 21),
)
def test_upsampling_is_linear_interpolation_and_extrapolation(
    values: NDArray[np.float64], factor: int
) -> None:
    line = interp1d(np.arange(len(values)) * factor, values, fill_value="extrapolate")
    want = line(np.arange(len(values) * factor))
    np.testing.assert_allclose(upsample(values, factor), want, rtol=1e-12, atol=1e-14)


def test_upsampling_goes_on_along_the_last_line() -> None:
    np.testing.assert_allclose(upsample(np.array([0.0, 1.0, 3.0]), 2), [0, 0.5, 1, 2, 3, 4])


def test_upsampling_of_one_snippet_is_constant() -> None:
    assert upsample(np.array([0.3], np.float32), 4).tolist() == [float(np.float32(0.3))] * 4


# --- Proposals


def test_a_run_scored_by_hand() -> None:
    # One step per snippet of 16 / 25 s. The run 5..8 at 0.5 has windows of 0.8 steps: the left one
    # starts at int(4.2) = 4 and has one step, the right one ends with int(8.8) = 8 and is empty.
    cas = [0.0, 0.0, 0.0, 0.0, 0.125, 0.5, 1.0, 1.0, 0.5, 0.25, 0.0]
    video = video_scores(cas, np.zeros(11))
    found = propose([video], ["run"], thresholds(cas=[0.5]))
    assert_rows(rows(found), [[0, 0.75, 5 * 0.64, 9 * 0.64]])  # what is below 0.5 counts as 0
    by_attention = video_scores(cas, np.asarray(cas))
    found = propose([by_attention], ["run"], thresholds(attention=[0.5]))
    assert_rows(rows(found), [[0, 0.75 - 0.125, 5 * 0.64, 9 * 0.64]])


def test_windows_are_clipped_at_the_borders() -> None:
    cas = [1.0, 1.0, 1.0, 1.0, 0.25, 0.25]
    video = video_scores(cas, [0, 1, 1, 1, 1, 0])
    found = propose([video], ["run"], thresholds(attention=[1], outer_ratio=5))
    assert_rows(rows(found), [[0, 3.25 / 4 - 1.25 / 2, 0.64, 5 * 0.64]])


@pytest.mark.parametrize("length", [1, 2, 30])
def test_everything_above_every_threshold_is_the_whole_video(length: int) -> None:
    video = video_scores(np.full(length, 0.5), np.ones(length), snippets=2 * length)
    found = propose([video], ["run"], PAPER)
    whole = [0, 0.5, 0, 2 * length * 0.64]
    assert_rows(rows(found), [whole] * (2 + 17))
    assert_rows(rows(localize([video], ["run"], PAPER)), [whole])


def test_a_run_of_one_step_is_no_proposal() -> None:
    cas = [0.9, 0, 0, 0.9, 0, 0.9, 0.9, 0, 0.9]
    video = video_scores(cas, np.zeros(9))
    found = propose([video], ["run"], thresholds(cas=[0.5]))
    assert rows(found)[:, 2:].tolist() == [[5 * 0.64, 7 * 0.64]]


def test_a_value_at_the_threshold_is_inside() -> None:
    video = video_scores([0.5, 0.5, 0.25], [0.0, 0.75, 0.75])
    found = propose([video], ["run"], thresholds(cas=[0.5], attention=[0.75]))
    assert rows(found)[:, 2].tolist() == [0.0, 0.64]


def test_seconds_follow_from_the_snippets_of_the_file() -> None:
    video = video_scores(np.full(4, 0.9), np.zeros(4), snippets=10)
    changed = thresholds(cas=[0.5], upsampling=20, frames_per_second=30.0, snippet_frames=8)
    found = propose([video], ["run"], changed)
    np.testing.assert_allclose([found.start[0], found.end[0]], [0, 10 * 8 / 30], rtol=1e-14)


def test_classes_above_the_threshold_or_the_best_action() -> None:
    cas, attention = np.full((3, 4), 0.9), np.zeros(3)

    def labels(class_scores: list[float]) -> list[int]:
        video = video_scores(cas, attention, class_scores)
        found = propose([video], ["a", "b", "c"], thresholds(cas=[0.5]))
        return found.label.tolist()

    assert labels([0.3, 0.1, 0.6, 0.0]) == [0, 2]
    assert labels([0.25, 0.1, 0.3, 0.9]) == [2]  # 0.25 is not above 0.25
    assert labels([0.1, 0.2, 0.1, 0.6]) == [1]  # never the background
    assert labels([0.2, 0.2, 0.1]) == [0]


def test_videos_without_proposals_stay_in_the_table() -> None:
    videos = [
        video_scores(np.zeros((0, 1)), np.zeros(0), name="empty"),
        video_scores([0.0, 0.0], [0.0, 0.0], name="nothing"),
        video_scores([0.9, 0.9], [0.0, 0.0], name="action"),
    ]
    found = localize(videos, ["run"], PAPER)
    assert found.videos == ("empty", "nothing", "action")
    assert found.classes == ("run",)
    assert found.video.tolist() == [2]
    for given_videos in (videos[:2], []):
        none = localize(given_videos, ["run"], PAPER)
        assert len(none) == 0
        assert none.start.dtype == np.float64
        assert none.label.dtype == np.int64


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["cas", "attention", "class_scores"])
def test_a_score_that_is_not_finite_names_the_video(field: str, value: float) -> None:
    video = video_scores(np.full((3, 2), 0.5), np.full(3, 0.5), [0.5, 0.5], name="broken_7")
    getattr(video, field).ravel()[-1] = value
    with pytest.raises(ValueError, match=f"video broken_7: {field} holds NaN or infinity"):
        localize([video], ["a", "b"], PAPER)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (video_scores(np.zeros((3, 1)), np.zeros(3), [0, 0]), r"cas \(3, 1\)"),
        (video_scores(np.zeros((3, 2)), np.zeros(4), [0, 0]), r"attention \(4,\)"),
        (video_scores(np.zeros((3, 2)), np.zeros((3, 1)), [0, 0]), r"attention \(3, 1\)"),
        (video_scores(np.zeros((3, 2)), np.zeros(3), [0]), r"class_scores \(1,\)"),
    ],
)
def test_shapes_that_do_not_agree_name_the_video(video: VideoScores, message: str) -> None:
    with pytest.raises(ValueError, match=rf"video video: .*{message}.* wanted .*2 or more"):
        propose([video], ["a", "b"], PAPER)


level = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0, 1, width=32))


@st.composite
def any_video(draw: st.DrawFn, classes: int) -> VideoScores:
    length = draw(st.integers(0, 12))
    return video_scores(
        draw(hnp.arrays(np.float32, (length, classes), elements=level)),
        draw(hnp.arrays(np.float32, length, elements=level)),
        draw(hnp.arrays(np.float32, classes, elements=level)),
        length * draw(st.integers(1, 3)),
    )


@settings(deadline=None)
@given(
    videos=st.lists(any_video(2), max_size=3),
    cas_thresholds=st.lists(level, max_size=3),
    attention_thresholds=st.lists(level, max_size=3),
    upsampling=st.integers(1, 20),
    outer_ratio=st.sampled_from([0.0, 0.15, 0.2, 0.5, 3.0]),
)
def test_equals_the_reference(videos: list[VideoScores], **config: Any) -> None:
    given_settings = replace(PAPER, **config)
    found = propose(videos, ["a", "b"], given_settings)
    for number, video in enumerate(videos):
        assert_rows(rows(found, number), reference.propose(video, 2, given_settings))


def test_equals_the_reference_at_the_size_of_the_paper() -> None:
    videos = [noise(750, 20, seed) for seed in range(2)]
    classes = [f"class {c}" for c in range(20)]
    found, kept = propose(videos, classes, PAPER), localize(videos, classes, PAPER)
    for number, video in enumerate(videos):
        proposals = reference.propose(video, 20, PAPER)
        assert len(proposals) > 20_000
        assert_rows(rows(found, number), proposals)
        assert_rows(rows(kept, number), reference.non_maximum_suppression(proposals, 0.55, 1.0))


# --- Non-maximum suppression


def table(proposals: ArrayLike) -> Segments:
    """Segments of one video from (class, score, start, end)."""
    listed = np.asarray(proposals, np.float64).reshape(-1, 4).tolist()
    return segments_from_rows(
        ["video"], ["a"] * 20, [(0, int(c), start, end, score) for c, score, start, end in listed]
    )


proposal = st.builds(
    lambda label, score, start, length: (label, score, start / 4, (start + length) / 4),
    st.integers(0, 1),
    st.sampled_from([0.1, 0.2, 0.3]) | st.floats(-1, 1),
    st.integers(0, 40),
    st.integers(1, 20),
)
any_proposals = given(
    st.lists(proposal, max_size=40),
    st.sampled_from([0.0, 0.25, 0.5, 0.55, 0.9, 1.0]),
    st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(deadline=None)
@any_proposals
def test_suppression_equals_the_reference(
    proposals: list[tuple[int, float, float, float]], tiou: float, offset: float
) -> None:
    kept = rows(non_maximum_suppression(table(proposals), tiou, offset))
    want = np.array(reference.non_maximum_suppression(proposals, tiou, offset)).reshape(-1, 4)
    np.testing.assert_array_equal(kept, want)


@settings(deadline=None)
@any_proposals
def test_what_suppression_keeps(
    proposals: list[tuple[int, float, float, float]], tiou: float, offset: float
) -> None:
    given_rows = table(proposals)
    kept = non_maximum_suppression(given_rows, tiou, offset)
    again = non_maximum_suppression(kept, tiou, offset)
    np.testing.assert_array_equal(rows(again), rows(kept))
    assert {tuple(row) for row in rows(kept)} <= {tuple(row) for row in rows(given_rows)}
    for label, score, start, end in rows(given_rows):
        same = kept.take((kept.label == label) & (kept.score >= score))
        overlap = np.minimum(same.end, end) - np.maximum(same.start, start) + offset
        overlap = np.maximum(overlap, 0)
        union = (same.end - same.start + offset) + (end - start + offset) - overlap
        present = (same.start == start) & (same.end == end)
        assert (present | (overlap > tiou * union)).any()


def test_videos_and_classes_do_not_suppress_each_other() -> None:
    same = [(video, label, 0.0, 5.0, 0.5) for video in (1, 0) for label in (1, 0)]
    kept = non_maximum_suppression(segments_from_rows(["a", "b"], ["x", "y"], same), 0.5)
    order = list(zip(kept.video.tolist(), kept.label.tolist(), strict=True))
    assert order == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_of_equal_scores_the_earlier_row_stays() -> None:
    overlapping = [(0, 0.5, 1.0, 9.0), (0, 0.5, 0.0, 8.0), (0, 0.5, 0.0, 9.0)]
    assert rows(non_maximum_suppression(table(overlapping), 0.5)).tolist() == [[0, 0.5, 1.0, 9.0]]


def test_the_official_offset_drops_a_disjoint_neighbour() -> None:
    neighbours = [(0, 0.9, 0.0, 0.2), (0, 0.8, 0.2, 0.4)]
    assert len(non_maximum_suppression(table(neighbours), 0.55, offset=1)) == 1
    assert len(non_maximum_suppression(table(neighbours), 0.55, offset=0)) == 2


def test_the_suppressed_do_not_suppress() -> None:
    chain = [(0, 0.9, 0.0, 10.0), (0, 0.8, 3.0, 13.0), (0, 0.7, 6.0, 16.0)]
    kept = non_maximum_suppression(table(chain), 0.5, offset=0)
    assert kept.score.tolist() == [0.9, 0.7]
