"""The parts of a report: results of single videos, curves, the file of scores, video files."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.detection.average_precision import detection_map
from eval.detection.error_analysis import analyze_errors
from eval.report import curves as curves_module
from eval.report.curves import curves_of, thin
from eval.report.media import find_media
from eval.report.page_data import detections_per_video
from eval.report.video_results import VideoResults, video_results
from eval.scores import VideoScores
from eval.scores_file import read_scores, write_scores
from eval.segments import Segments, segments_from_rows
from tests.report_case import CLASSES, SECONDS, make_case, make_scores
from tests.test_report import unpacked
from utils.errors import UserError

VIDEOS = ("a", "b", "c")
TIOU = (0.3, 0.5, 0.7)
row = st.tuples(
    st.integers(0, 2), st.integers(0, 1), st.integers(0, 12), st.integers(0, 6), st.integers(0, 4)
)


def table(rows: list[tuple[int, int, int, int, int]], videos: tuple[str, ...]) -> Segments:
    found = [(v, c, float(s), float(s + n), p / 4) for v, c, s, n, p in rows]
    return segments_from_rows(videos, CLASSES[:2], found)


def kinds_at(results: VideoResults, k: int) -> list[int]:
    """What each detection is at threshold k, as the script of the page decides it."""
    found = []
    taken = {d for d in results.holder[k] if d >= 0}
    for d, (level, overlap) in enumerate(zip(results.level, results.overlap, strict=True)):
        if d in taken:
            found.append(0)
        elif level > k:
            found.append(1)
        else:
            found.append(2 if overlap & 1 else 3 if overlap & 2 else 4)
    return found


@settings(deadline=None, max_examples=150)
@given(st.lists(row, min_size=1, max_size=8), st.lists(row, max_size=25))
def test_results_of_videos_agree_with_the_evaluation_and_the_error_analysis(
    instances: list[Any], detections: list[Any]
) -> None:
    truth, found = table(instances, VIDEOS), table(detections, (*VIDEOS[:2], "elsewhere"))
    whole = detection_map(truth, found, TIOU)
    average = next(iter(whole.averages()))
    results = video_results(truth, found, whole, average)
    elsewhere = ["elsewhere"] * bool((found.video == 2).any())
    assert results.videos == (*VIDEOS, *elsewhere)
    # Each video by itself: only the classes annotated in it, as if it were the only one.
    by_video = results.average_by_video()
    for name in VIDEOS:
        mine = truth.of_video(name)
        if len(mine):
            alone = detection_map(mine, found.of_video(name), TIOU)
            assert by_video[name] == pytest.approx(alone.averages()[average])
        else:
            assert name not in by_video
    # Kinds of the detections: all of them are among the best 10 G if a class has few.
    counts = np.bincount(found.label, minlength=2)
    if (counts <= 10 * np.bincount(truth.label, minlength=2)).all():
        for k, tiou in enumerate(TIOU):
            expected = analyze_errors(truth, found, tiou).errors[-1]
            assert np.bincount(kinds_at(results, k), minlength=5).tolist() == expected.tolist()
    order = list(zip(results.detections.video, -results.detections.score, strict=True))
    assert order == sorted(order)


@settings(deadline=None, max_examples=60)
@given(st.lists(row, min_size=1, max_size=8), st.lists(row, max_size=25), st.integers(1, 6))
def test_best_of_each_video(instances: list[Any], detections: list[Any], most: int) -> None:
    truth, found = table(instances, VIDEOS), table(detections, VIDEOS)
    whole = detection_map(truth, found, TIOU)
    results = video_results(truth, found, whole, next(iter(whole.averages())))
    best = results.best_of_each_video(most)
    counts = np.bincount(results.detections.video, minlength=3)
    assert (
        np.bincount(best.detections.video, minlength=3).tolist()
        == np.minimum(counts, most).tolist()
    )
    for before, after in zip(results.holder.ravel(), best.holder.ravel(), strict=True):
        if after >= 0:  # the same detection
            assert best.detections.score[after] == results.detections.score[before]
            assert best.detections.start[after] == results.detections.start[before]
        else:
            assert (after == -1) == (before == -1)
    assert best.all_detections == len(found)


def test_detections_per_video_keep_the_budget() -> None:
    evaluation, _, truth = make_case()
    results = video_results(truth, evaluation.detections, evaluation.detection, ".1-.7")
    counts = [5, 400, 30, 1000]
    video = np.repeat(np.arange(4), counts)
    many = replace(results.detections, video=video)
    assert detections_per_video(replace(results, detections=many), 2000) is None
    most = detections_per_video(replace(results, detections=many), 500)
    assert most == 232  # 5 + 232 + 30 + 232 = 499
    assert detections_per_video(replace(results, detections=many), 0) == 20  # the fewest


@pytest.mark.parametrize(("length", "most"), [(0, 3), (1, 3), (3, 3), (7, 3), (100, 40)])
def test_thinned_curves(length: int, most: int) -> None:
    values = np.random.default_rng(length).random(length)
    thinned = thin(values, most)
    assert len(thinned) == min(length, most)
    if length > most:
        edges = [i * length // most for i in range(most + 1)]
        expected = [values[a:b].mean() for a, b in pairwise(edges)]
        assert thinned == pytest.approx(expected)
    else:
        assert thinned.tolist() == values.tolist()


def case_results() -> tuple[VideoResults, dict[str, VideoScores], tuple[str, ...]]:
    evaluation, scores, truth = make_case()
    results = video_results(truth, evaluation.detections, evaluation.detection, ".1-.7")
    return results, {video.name: video for video in scores}, evaluation.detections.classes


def test_curves_keep_their_values_to_half_a_step() -> None:
    results, scores, classes = case_results()
    packed, notes = curves_of(scores, classes, results)
    assert packed is not None
    assert notes == []
    assert unpacked(packed["count"]).tolist() == [5, 4, 5, 4, 0]  # three attentions and classes
    assert unpacked(packed["points"]).tolist() == [20, 20, 20, 20, 0]
    kinds = unpacked(packed["kind"]).tolist()
    # The annotated classes, then those of the detections.
    assert kinds == [-1, -2, -3, 0, 1, -1, -2, -3, 0, -1, -2, -3, 1, 0, -1, -2, -3, 0]
    low, high = unpacked(packed["low"]), unpacked(packed["high"])
    values = unpacked(packed["values"]).reshape(-1, 20) / 255
    restored = low[:, None] + values * (high - low)[:, None]
    video = scores["video_c"]
    assert video.branch_attention is not None
    original = [*video.branch_attention.T, video.cas[:, 1], video.cas[:, 0]]
    for curve, wanted in zip(restored[9:14], original, strict=True):
        assert np.abs(curve - wanted).max() <= (wanted.max() - wanted.min()) / 255 * 0.51


def test_curves_of_networks_with_one_attention_and_of_unknown_classes() -> None:
    results, scores, _ = case_results()
    plain = {name: video._replace(branch_attention=None) for name, video in scores.items()}
    packed, _ = curves_of(plain, ("Unknown", "Diving"), results)
    assert packed is not None
    assert unpacked(packed["kind"]).tolist() == [-1, 0, -1, 0, -1, 0, -1, 0]
    column = unpacked(packed["values"]).reshape(-1, 20)[1]
    assert column.argmax() == plain["video_a"].cas[:, 1].argmax()
    assert curves_of({}, (), results) == (None, [])


def test_many_curves_are_thinned_and_then_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    results, scores, classes = case_results()
    monkeypatch.setattr(curves_module, "POINTS", (16, 8, 4))
    for budget, points in ((18 * 16, 16), (18 * 16 - 1, 8), (18 * 4, 4)):
        monkeypatch.setattr(curves_module, "CURVE_BYTES", budget)
        packed, notes = curves_of(scores, classes, results)
        assert packed is not None
        assert unpacked(packed["points"]).max() == points
        assert len(unpacked(packed["values"])) == 18 * points
        assert f"at most {points} points" in notes[0]
    monkeypatch.setattr(curves_module, "CURVE_BYTES", 18 * 4 - 1)
    packed, notes = curves_of(scores, classes, results)
    assert packed is None
    assert "curves of 4 videos are left out" in notes[0]


def test_file_of_scores_keeps_the_scores_to_half_precision(tmp_path: Path) -> None:
    videos = [make_scores("a", 30, 12), make_scores("ü 🤸", 4, 4), make_scores("empty", 0, 0)]
    videos[1] = videos[1]._replace(span=7.5)
    path = tmp_path / "x_scores.npz"
    write_scores(path, videos, CLASSES, SECONDS)
    classes, found = read_scores(path)
    assert classes == CLASSES
    assert [video.name for video in found] == ["a", "ü 🤸", "empty"]
    assert [video.span for video in found] == [30 * SECONDS, 7.5, 0]
    for before, after in zip(videos, found, strict=True):
        assert after.snippets == before.snippets
        for name in ("cas", "attention", "class_scores", "branch_attention"):
            wanted = getattr(before, name)
            assert getattr(after, name).dtype == np.float32
            assert np.allclose(getattr(after, name), wanted, rtol=1e-3, atol=1e-7)
    write_scores(path, [v._replace(branch_attention=None) for v in videos], CLASSES, SECONDS)
    assert all(video.branch_attention is None for video in read_scores(path).videos)
    write_scores(path, [], CLASSES, SECONDS)
    assert read_scores(path) == (CLASSES, [])


def arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path) as content:
        return dict(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cas": None}, "has no cas"),
        ({"cas": np.zeros((5, 7))}, r"cas has shape \(5, 7\), wanted \(9, 7\)"),
        ({"class_scores": np.zeros((2, 7))}, "class_scores has shape"),
        ({"attention": np.full(9, np.nan)}, "attention holds numbers that are not finite"),
        ({"classes": np.array(["one"])}, "7 columns, wanted one for each of the 1 classes"),
        ({"videos": np.array(["a\x07"])}, "control characters"),
    ],
)
def test_files_of_scores_that_do_not_fit(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "scores.npz"
    write_scores(path, [make_scores("a", 9, 9)], CLASSES, SECONDS)
    arrays = {**arrays_of(path), **change}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=message):
        read_scores(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 truncated", None])
def test_files_that_hold_no_scores(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "scores.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"scores file .*scores\.npz"):
        read_scores(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UserError, match="single array"):
        read_scores(tmp_path / "one.npy")


def test_files_of_videos(tmp_path: Path) -> None:
    folder, page = tmp_path / "my videos", tmp_path / "runs" / "a" / "report.html"
    names = ["plain", "50% #1?", "ü 🤸", "prefixed", "twice", "absent"]
    for file in (
        *("plain.mkv", "50% #1?.mp4", "deep/er/u\u0308 🤸.WEBM", "v_prefixed.avi"),
        *("twice.avi", "twice.mp4", "other.mp4", "absent.txt"),
    ):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")
    assert find_media(folder, names, page) == {
        "plain": "../../my%20videos/plain.mkv",
        "50% #1?": "../../my%20videos/50%25%20%231%3F.mp4",
        "ü 🤸": "../../my%20videos/deep/er/u%CC%88%20%F0%9F%A4%B8.WEBM",
        "prefixed": "../../my%20videos/v_prefixed.avi",
        "twice": "../../my%20videos/twice.mp4",
    }
    with pytest.raises(UserError, match="found 6 video files such as"):
        find_media(folder, ["unknown"], page)
    with pytest.raises(UserError, match="is not a folder"):
        find_media(folder / "plain.mkv", names, page)
