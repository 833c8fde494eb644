"""The protocol of the THUMOS14 kit: its own values, the reference implementation, every rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.detection.annotation_file import read_annotations
from eval.detection.prediction_file import read_predictions
from eval.detection.protocols import evaluate, intervals_of, split_ambiguous
from eval.detection.thumos_kit import as_octave_reads, thumos_kit_map
from eval.segments import Segments, ground_truth, segments_from_rows
from tests import reference_thumos_kit as reference
from tests.reference_map import frame
from utils.errors import UserError

CLASSES = ("Diving", "CliffDiving", "Shotput")
Row = tuple[int, int, float, float, float]


def table(rows: list[Row], classes: tuple[str, ...] = CLASSES, videos: str = "cab") -> Segments:
    """Rows of (video, class, start, end, score); the videos are not in alphabetical order."""
    return segments_from_rows(videos, classes, rows)


# A coarse grid makes ties of scores and overlaps, and a tIoU that equals a threshold, common.
row = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)
).map(lambda r: (r[0], r[1], r[2] / 2, (r[2] + r[3]) / 2, r[4] / 4))
truths = st.lists(row, max_size=12).map(table)
doubts = st.lists(row, max_size=3).map(lambda rows: table(rows, videos="acx"))
# A class and a video that the ground truth does not have.
guesses = st.lists(row, max_size=30).map(
    lambda rows: table(rows, ("Shotput", "Diving", "x"), "bcx")
)


@settings(deadline=None, max_examples=40)
@given(truths, guesses, doubts)
def test_equals_the_reference(truth: Segments, predictions: Segments, doubtful: Segments) -> None:
    tiou = (0.25, 0.5, 0.75, 1.0)
    result = thumos_kit_map(truth, predictions, doubtful, tiou)
    expected = reference.thumos_kit_map(
        *(frame(truth), frame(predictions), frame(doubtful), CLASSES, tiou)
    )
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12, atol=1e-15)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_equals_the_reference_for_random_times(seed: int) -> None:
    random = np.random.default_rng(seed)

    def some(number: int) -> Segments:
        start = random.uniform(0, 20, number).round(2)
        rows = zip(
            random.integers(0, 3, number).tolist(),
            random.integers(0, 2, number).tolist(),
            start.tolist(),
            (start + random.exponential(4, number)).round(1).tolist(),
            random.random(number).tolist(),
            strict=True,
        )
        return table(list(rows))

    truth, predictions, doubtful = some(15), some(80), some(4)
    tiou = (0.1, 0.3, 0.5, 0.7)
    result = thumos_kit_map(truth, predictions, doubtful, tiou, exact_times=True)
    expected = reference.thumos_kit_map(
        *(frame(truth), frame(predictions), frame(doubtful), CLASSES, tiou)
    )
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12, atol=1e-15)


def real(
    real_data: Path, golden: Path
) -> tuple[Segments, Segments, Segments, dict[str, np.ndarray]]:
    """Instances, detections, ambiguous intervals and the values of the kit."""
    values = dict(np.load(golden / "thumos_kit.npz"))
    database = read_annotations(real_data / "thumos14_kit")
    database, ambiguous = split_ambiguous(database, ["Ambiguous"])
    truth = ground_truth(database.values(), [str(name) for name in values["class_names"]])
    predictions = read_predictions(real_data / "predictions" / "thumos14_test.json")
    return truth, predictions, intervals_of(ambiguous.values()), values


def test_values_of_the_official_kit(real_data: Path, golden: Path) -> None:
    truth, predictions, doubtful, values = real(real_data, golden)
    result = evaluate(
        truth, predictions, values["tiou"].tolist(), protocol="thumos-kit", ambiguous=doubtful
    )
    np.testing.assert_allclose(result.average_precision, values["ap"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.mean_average_precision, values["mAP"], rtol=0, atol=1e-9)
    assert result.ambiguous == (36,) * 7
    without = thumos_kit_map(truth, predictions, None, values["tiou"].tolist())
    assert (without.mean_average_precision < values["mAP"] - 5e-5).all()


def test_exact_times_change_two_values_of_the_official_kit(real_data: Path, golden: Path) -> None:
    truth, predictions, doubtful, values = real(real_data, golden)
    result = thumos_kit_map(truth, predictions, doubtful, values["tiou"].tolist(), exact_times=True)
    other = np.argwhere(abs(result.average_precision - values["ap"]) > 1e-9)
    found = {(f"{values['tiou'][k]:g}", truth.classes[label]) for k, label in other}
    assert found == {("0.6", "Diving"), ("0.4", "SoccerPenalty")}


def test_times_as_octave_reads_them() -> None:
    """Values that `textscan` of Octave 7.3 printed with 17 digits."""
    read = {
        24.96: 24.959999999999997,
        170.24: 170.23999999999998,
        17.92: 17.919999999999998,
        0.6: 0.6000000000000001,
        0.66: 0.6600000000000001,
        0.4969: 0.49690000000000006,
        0.03240204027944449: 0.0324020402794445,
    }
    same = [24.32, 28.8, 172.16, 0.0, 5.0, 1e-5, 1e17]
    times = np.array([*read, *same, *(-time for time in read)])
    expected = [*read.values(), *same, *(-time for time in read.values())]
    assert as_octave_reads(times).tolist() == expected
    assert as_octave_reads(np.zeros(0)).tolist() == []


def precision(
    truth: list[Row], found: list[Row], doubtful: list[Row] | None = None, tiou: float = 0.5
) -> float:
    """The average precision of the first class."""
    ambiguous = table(doubtful) if doubtful else None
    result = thumos_kit_map(table(truth), table(found), ambiguous, [tiou])
    return float(result.average_precision[0, 0])


def test_an_instance_takes_the_detection_of_largest_overlap_whatever_its_score() -> None:
    truth: list[Row] = [(0, 0, 0, 10, 1)]
    close, exact = (0, 0, 0, 9, 0.9), (0, 0, 0, 10, 0.1)
    assert precision(truth, [close, exact]) == 0.5
    assert precision(truth, [close]) == 1


def test_the_instances_choose_in_the_order_of_the_table() -> None:
    first, second = (0, 0, 0.0, 4.0, 1.0), (0, 0, 1.0, 5.0, 1.0)
    # Both overlap the first detection most; the second instance overlaps no other one enough.
    found: list[Row] = [(0, 0, 0.5, 4.5, 0.9), (0, 0, 0, 3, 0.8)]
    assert precision([second, first], found, tiou=0.6) == 1
    assert precision([first, second], found, tiou=0.6) == 0.5


def test_a_tie_of_overlaps_takes_the_better_score_and_then_the_first_row() -> None:
    truth: list[Row] = [(0, 0, 0, 8, 1), (0, 0, 0, 6, 1)]
    better, worse = (0, 0, 0.0, 7.0, 0.9), (0, 0, 1.0, 8.0, 0.2)
    # The first instance overlaps both by 7/8; the second one overlaps them by 6/7 and 5/8.
    assert precision(truth, [worse, better], tiou=0.7) == 0.5
    equal = (0, 0, 1.0, 8.0, 0.9)
    assert precision(truth, [better, equal], tiou=0.7) == 0.5
    assert precision(truth, [equal, better], tiou=0.7) == 1


def test_the_overlap_must_be_greater_than_the_threshold() -> None:
    truth: list[Row] = [(0, 0, 0, 8, 1)]
    assert precision(truth, [(0, 0, 0, 4, 1)], tiou=0.5) == 0
    assert precision(truth, [(0, 0, 0, 4, 1)], tiou=0.4999) == 1
    assert precision(truth, [(0, 0, 0, 8, 1)], tiou=1) == 0


def test_false_positives_in_ambiguous_intervals_are_left_out() -> None:
    truth: list[Row] = [(0, 0, 0, 4, 1)]
    wrong, right = (0, 0, 6.0, 8.0, 0.9), (0, 0, 0.0, 4.0, 0.5)
    assert precision(truth, [wrong, right]) == 0.5
    assert precision(truth, [wrong, right], [(0, 2, 7.9, 9, 1)]) == 1  # of any class, any overlap
    assert precision(truth, [wrong, right], [(0, 0, 8, 9, 1)]) == 0.5  # they only touch
    assert precision(truth, [wrong, right], [(1, 0, 6, 8, 1)]) == 0.5  # in another video
    assert precision(truth, [right], [(0, 0, 0, 4, 1)]) == 1  # a match counts nevertheless


def test_equal_scores_are_ordered_by_the_name_of_the_video() -> None:
    truth: list[Row] = [(1, 0, 0, 4, 1)]  # in the video a
    right, wrong = (1, 0, 0.0, 4.0, 0.5), (0, 0, 0.0, 4.0, 0.5)  # in a and c
    assert precision(truth, [wrong, right]) == 1
    truth = [(0, 0, 0, 4, 1)]
    assert precision(truth, [wrong, right]) == 0.5
    unknown = segments_from_rows(["c", "Z"], CLASSES, [(0, 0, 0, 4, 0.5), (1, 0, 0, 4, 0.5)])
    result = thumos_kit_map(table(truth), unknown, None, [0.5])
    assert result.average_precision[0, 0] == 0.5  # Z comes before c, also if it is unknown


def test_classes_without_detections_and_without_instances() -> None:
    result = thumos_kit_map(
        table([(0, 0, 0, 4, 1), (0, 1, 0, 4, 1)]),
        table([(0, 0, 0, 4, 1), (0, 2, 0, 4, 1)]),
        None,
        [0.5],
    )
    np.testing.assert_array_equal(result.average_precision, [[1, 0, np.nan]])
    assert result.mean_average_precision.tolist() == [0.5]
    dropped = thumos_kit_map(
        table([(0, 0, 0, 4, 1)]), table([(0, 0, 8, 9, 1)]), table([(0, 0, 8, 9, 1)]), [0.5]
    )
    assert dropped.average_precision[0, 0] == 0
    empty = thumos_kit_map(table([(0, 0, 0, 4, 1)]), table([]), None, [0.5])
    assert empty.average_precision[0, 0] == 0


def test_segments_that_overlap_nothing() -> None:
    truth: list[Row] = [(0, 0, 5, 5, 1), (0, 0, 9, 7, 1)]
    assert precision(truth, [(0, 0, 5, 5, 1), (0, 0, 9, 7, 1), (0, 0, 7, 9, 1)]) == 0


def test_counts() -> None:
    truth = table([(0, 0, 0, 4, 1)])
    found = segments_from_rows(
        ["c", "a", "x", "y"],
        ["Diving", "Surfing"],
        [(0, 1, 0, 4, 1), (1, 0, 0, 4, 1), (2, 0, 0, 4, 1), (3, 0, 0, 4, 1), (1, 0, 6, 8, 1)],
    )
    doubtful = segments_from_rows(["x", "a"], ["?"], [(0, 0, 0, 4, 1), (1, 0, 7, 9, 1)])
    result = thumos_kit_map(truth, found, doubtful, [0.5, 0.7])
    assert (result.videos, result.unknown_label, result.ambiguous) == (3, 1, (2, 2))
    assert (result.unknown_video, result.unannotated) == (1, 1)
    assert result.protocol == "thumos-kit"


def test_refuses() -> None:
    truth = table([(0, 0, 0, 4, 1)])
    with pytest.raises(
        UserError, match="protocol is 'coco'; wanted one of activitynet, thumos-kit"
    ):
        evaluate(truth, truth, protocol="coco")
    with pytest.raises(UserError, match="ap is 'activitynet', but the protocol thumos-kit has its"):
        evaluate(truth, truth, protocol="thumos-kit", ap="activitynet")
    with pytest.raises(UserError, match="tiou 0 is out of range"):
        thumos_kit_map(truth, truth, None, [0])
    broken = replace(truth, start=np.array([np.nan]))
    with pytest.raises(UserError, match="ambiguous intervals: start of row 0 is nan"):
        thumos_kit_map(truth, truth, broken)
