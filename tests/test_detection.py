"""mAP and its tables: official values, the reference implementation, real files."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.annotations import read_database
from dataset.text_files import read_split
from dataset.videos import Video
from eval.detection import matching
from eval.detection.average_precision import AP_KINDS, average_precision_of, detection_map
from eval.detection.matching import temporal_iou
from eval.detection.notebook import class_table, score_arrays
from eval.detection.plain_values import detection_values
from eval.detection.prediction_file import read_predictions
from eval.detection.selection import select
from eval.detection.tables import class_csv, class_text, counts_line, map_table
from eval.segments import Segments, ground_truth, segments_from_rows
from tests import reference_map as reference
from utils.errors import UserError

CLASSES = ("Diving", "CliffDiving", "Shotput")
Rows = list[tuple[int, int, float, float, float]]


def table(rows: Rows, classes: tuple[str, ...] = CLASSES, first: int = 0) -> Segments:
    """Rows of (video, class, start, end, score) in three videos, named from number `first` on."""
    return segments_from_rows([f"v{i + first}" for i in range(3)], classes, rows)


# A coarse grid of times and scores makes ties, touching segments and segments of no length common.
row = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)
).map(lambda r: (r[0], r[1], r[2] / 2, (r[2] + r[3]) / 2, r[4] / 4))
truths = st.lists(row, max_size=12).map(table)
# Videos v1 to v3 where the ground truth has v0 to v2, and classes in another order.
guesses = st.lists(row, max_size=30).map(
    lambda rows: table(rows, ("Shotput", "Diving", "Surfing"), first=1)
)


@settings(deadline=None, max_examples=150)
@given(truths, guesses, st.sampled_from(AP_KINDS))
def test_equals_the_reference(truth: Segments, predictions: Segments, ap: str) -> None:
    tiou = (0.25, 0.5, 0.75, 1.0)
    result = detection_map(truth, predictions, tiou, ap=ap)
    expected = reference.detection_map(
        reference.frame(truth), reference.frame(predictions), CLASSES, tiou, ap
    )
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12, atol=1e-15)
    assert result.unknown_label == sum(
        predictions.classes[i] == "Surfing" for i in predictions.label
    )


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_of_pairs_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    rows = [(int(v), int(c), s, s + d, p) for v, c, s, d, p in random.random((60, 5)) * 3]
    truth, predictions = table(rows[:20]), table(rows)
    whole = detection_map(truth, predictions)
    monkeypatch.setattr(matching, "BLOCK", block)
    blocks = detection_map(truth, predictions)
    np.testing.assert_array_equal(whole.average_precision, blocks.average_precision)


def test_values_of_the_official_evaluation(golden: Path, tmp_path: Path) -> None:
    values = np.load(golden / "eval.npz")
    path = tmp_path / "gt.json"
    path.write_text(str(values["gt_json"]), encoding="utf-8")
    truth = ground_truth(v for v in read_database(path).values() if v.subset == "test")
    videos = values["video_names"].tolist()
    rows = [
        (index, int(label), start, end, score)
        for index, video in enumerate(videos)
        for label, score, start, end in values[f"out/{video}/final"]
    ]
    predictions = segments_from_rows(videos, values["class_names"].tolist(), rows)
    result = detection_map(truth, predictions, values["tiou_thresholds"])
    assert list(result.classes) == values["out/ap_class_names"].tolist()
    np.testing.assert_allclose(result.average_precision, values["out/ap"], rtol=1e-12, atol=0)
    np.testing.assert_allclose(result.mean_average_precision, values["out/mAP"], rtol=1e-12)
    average = float(values["out/avg_mAP_0.1_0.7_percent"])
    assert result.averages()[".1-.7"] == pytest.approx(average, rel=1e-12)
    assert (result.videos, result.unannotated) == (10, 14)


def test_units_of_the_official_evaluation(golden: Path) -> None:
    values = np.load(golden / "nms_ap.npz")
    ap = average_precision_of(values["prec"], values["rec"])
    np.testing.assert_allclose(ap, values["ap"], rtol=1e-12)
    start, end = values["iou_cands"].T
    target = values["iou_target"].reshape(2, 1)
    tiou = temporal_iou(target[0], target[1], start, end)
    np.testing.assert_allclose(tiou, values["iou"], rtol=1e-12)


def thumos14_test(real_data: Path) -> dict[str, Video]:
    database = read_database(real_data / "thumos14_derived" / "gt.json")
    return {name: video for name, video in database.items() if video.subset == "test"}


def test_real_thumos14_predictions(real_data: Path) -> None:
    database = thumos14_test(real_data)
    predictions = read_predictions(real_data / "predictions" / "thumos14_test.json")
    split = str(real_data / "thumos14_derived" / "split_test.txt")
    all_videos = [68.33, 62.41, 53.60, 44.03, 33.48, 22.92, 12.23, 4.72, 0.93]
    of_split = [69.69, 63.74, 54.63, 44.89, 34.10, 23.39, 12.47, 4.83, 0.97]
    for videos, row, average in (("all", all_videos, 42.4284), (split, of_split, 43.27)):
        chosen = select(database, predictions, "test", videos)
        result = detection_map(chosen.truth, chosen.predictions)
        np.testing.assert_allclose(result.mean_average_precision * 100, row, atol=0.05)
        assert result.averages()[".1-.7"] == pytest.approx(average, abs=0.05)
    assert chosen.left_out_instances == 47
    assert set(chosen.left_out) == {"video_test_0000270", "video_test_0001496"}


def test_perfect_detector_of_the_split(real_data: Path) -> None:
    database = thumos14_test(real_data)
    names = read_split(real_data / "thumos14_derived" / "split_test.txt")
    perfect = ground_truth(database[name] for name in names)
    result = detection_map(ground_truth(database.values()), perfect)
    np.testing.assert_allclose(result.mean_average_precision * 100, 98.87, atol=0.005)
    chosen = select(database, perfect, "test", "predicted")
    np.testing.assert_allclose(detection_map(chosen.truth, perfect).mean_average_precision, 1)


def test_the_kinds_of_average_precision() -> None:
    truth = table([(0, 0, 0, 1, 1), (0, 0, 4, 5, 1)])
    predictions = table([(0, 0, 8, 9, 0.9), (0, 0, 0, 1, 0.8), (0, 0, 4, 5, 0.7)])
    interpolated = detection_map(truth, predictions, [0.5])
    plain = detection_map(truth, predictions, [0.5], ap="non-interpolated")
    former = detection_map(truth, predictions, [0.5], ap="thumos14")
    np.testing.assert_array_equal(plain.average_precision, former.average_precision)
    assert (interpolated.protocol, plain.protocol) == (
        "activitynet",
        "activitynet, non-interpolated AP",
    )
    assert interpolated.average_precision[0, 0] == pytest.approx(2 / 3)
    assert plain.average_precision[0, 0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_ties_of_scores_and_overlaps_follow_the_order_of_the_table() -> None:
    truth = table([(0, 0, 0, 2, 1), (0, 0, 2, 4, 1)])
    both, left = (0, 0, 0, 4, 0.5), (0, 0, 0, 2, 0.5)
    # The one that overlaps both takes the first instance and leaves none to the other.
    assert detection_map(truth, table([both, left]), [0.5]).average_precision[0, 0] == 0.5
    assert detection_map(truth, table([left, both]), [0.5]).average_precision[0, 0] == 1


def test_segments_without_length_match_at_the_same_moment_only() -> None:
    truth = table([(0, 0, 5, 5, 1)])
    for start, end, expected in ((5, 5, 1), (6, 6, 0), (4, 6, 0), (5, 6, 0)):
        result = detection_map(truth, table([(0, 0, start, end, 1)]), [0.5])
        assert result.average_precision[0, 0] == expected


def test_a_segment_that_ends_before_it_starts_overlaps_nothing() -> None:
    times = np.array([-1.0, 0, 2, 4])
    start, end = (grid.ravel() for grid in np.meshgrid(times, times))
    valid = start <= end
    tiou = temporal_iou(start[:, None], end[:, None], start, end)
    assert not tiou[~valid].any()
    assert not tiou[:, ~valid].any()
    assert (np.diag(tiou)[valid] == 1).all()
    truth = table([(0, 0, 1, 2, 1), (0, 0, 9, 5, 1)])
    predictions = table([(0, 0, 9, 5, 0.9), (0, 0, 1, 2, 0.8)])
    for ap, expected in (("activitynet", 0.25), ("non-interpolated", 0.25)):
        result = detection_map(truth, predictions, [0.5], ap=ap)
        assert result.average_precision[0, 0] == expected
        assert result.instances[0] == 2


def test_counts_and_classes_without_instances() -> None:
    truth = table([(0, 0, 0, 1, 1), (0, 1, 5, 6, 1)])
    predictions = segments_from_rows(
        ["v0", "v1", "elsewhere"],
        ["Shotput", "Diving", "Surfing"],
        [(0, 1, 0, 1, 1), (1, 1, 0, 1, 0.5), (1, 0, 0, 1, 0.5), (2, 1, 0, 1, 0.2), (0, 2, 0, 1, 1)],
    )
    result = detection_map(truth, predictions, [0.5])
    np.testing.assert_array_equal(result.average_precision, [[1, 0, np.nan]])
    assert result.mean_average_precision == [0.5]
    assert (result.unknown_video, result.unknown_label, result.unannotated) == (1, 1, 2)
    assert result.detections.tolist() == [3, 0, 1]
    nothing = detection_map(table([]), predictions, [0.5])
    assert np.isnan(nothing.mean_average_precision).all()
    assert detection_map(truth, table([]), [0.5]).mean_average_precision == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiou": []}, "at least one threshold"),
        ({"tiou": [0.5, 0.0]}, "tiou 0 is out of range; wanted above 0 and at most 1"),
        ({"tiou": [float("nan")]}, "tiou nan is out of range"),
        ({"ap": "coco"}, "ap is 'coco'; wanted one of activitynet, non-interpolated"),
        ({"predictions": table([(0, 0, 0, 1, np.nan)])}, "predictions: score of row 0 is nan"),
        ({"ground_truth": table([(0, 0, 0, np.inf, 1)])}, "ground truth: end of row 0 is inf"),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    arguments = {"ground_truth": table([]), "predictions": table([]), "tiou": [0.5], **change}
    with pytest.raises(UserError, match=message):
        detection_map(**arguments)


def test_tables() -> None:
    truth = table([(0, 0, 0, 10, 1), (1, 1, 0, 1, 1)])
    result = detection_map(truth, table([(0, 0, 0, 10, 1)]), [0.5, 0.75])
    assert map_table(result).splitlines() == [
        "tIoU     0.5   0.75",
        "mAP %  50.00  50.00",
        "average mAP %   mean of .5 .75: 50.00",
    ]
    assert counts_line(result) == "evaluated: 3 videos, 2 instances of 2 classes, 1 detections"
    frame = class_table(result)
    assert list(frame.loc["Diving"]) == [1, 1, 100, 100]
    assert list(frame.loc["mean"]) == [2, 1, 50, 50]


def test_classes_without_instances_are_in_files_and_not_on_the_terminal() -> None:
    truth = table([(0, 0, 0, 10, 1)])
    right, wrong = (0, 0, 0.0, 10.0, 1.0), (0, 2, 0.0, 10.0, 0.5)
    for rows, note in (
        ([right], []),
        ([right, wrong, wrong], ["2 classes without instances are not shown (2 detections)"]),
    ):
        result = detection_map(truth, table(rows), [0.5])
        values = detection_values(result)
        lines = class_text(values).splitlines()
        assert [line.split()[0] for line in lines[2:4]] == ["Diving", "mean"]
        assert lines[4:] == note
        assert class_csv(values).splitlines() == [
            "class,instances,detections,AP@0.5,protocol",
            "Diving,1,1,100.0,activitynet",
            "CliffDiving,0,0,,activitynet",
            f"Shotput,0,{len(rows) - 1},,activitynet",
            f"mean,1,{len(rows)},100.0,activitynet",
        ]
        assert class_table(result)["AP@0.5"].isna().tolist() == [False, True, True, False]


def test_arrays_in_table_out() -> None:
    truth = {"video": [7, 7], "label": ["a", "b"], "start": [1, 7], "end": np.array([4, 9])}
    guess = {"video": [7], "label": ["a"], "start": [1], "end": [5], "score": [0.8]}
    expected = score_arrays(truth, guess, [0.5, 0.8])
    assert list(expected.loc["mean"]) == [2, 1, 50, 0]
    pd.testing.assert_frame_equal(
        score_arrays(pd.DataFrame(truth), pd.DataFrame(guess), [0.5, 0.8]), expected
    )
    names = {name: ["é"] for name in ("video", "label")}
    decomposed = {name: [unicodedata.normalize("NFD", "é")] for name in names}
    times = {"start": [1], "end": [4], "score": [1]}
    assert (
        score_arrays({**names, **times}, {**decomposed, **times}, [0.5]).loc["mean", "AP@0.5"]
        == 100
    )
    with pytest.raises(UserError, match="predictions has no column score; wanted video, label"):
        score_arrays(truth, truth)
    with pytest.raises(UserError, match=r"ground_truth: .* wanted equally long columns of numbers"):
        score_arrays({**truth, "start": [1]}, guess)
    with pytest.raises(UserError, match=r"predictions: .* wanted equally long columns of numbers"):
        score_arrays(truth, {**guess, "start": ["early"]})
    with pytest.raises(UserError, match=r"row 0 ends at 0\.5 s, before it starts at 1 s"):
        score_arrays(truth, {**guess, "end": [0.5]})
